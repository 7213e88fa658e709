"""Control over what XLA's compiler computes more than once, and how early."""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_vjp
def materialize(x: jax.Array) -> jax.Array:
    """The array itself, written to memory once on CPU, whoever reads it; its cotangent too.

    XLA's CPU fusion gives each reader of a sum its own copy of the computation, all the way up a residual stream, and
    drops `lax.optimization_barrier` before it does. An update at a place that is known at run time only stops it.

    Args:
      x: floating, of any shape, not empty.
    """
    return _materialize(x)


def _forward(x: jax.Array) -> tuple[jax.Array, None]:
    return _materialize(x), None


def _backward(_: None, cotangent: jax.Array) -> tuple[jax.Array]:
    return (_materialize(cotangent),)


materialize.defvjp(_forward, _backward)


def delay(x: jax.Array, until: jax.Array) -> jax.Array:
    """The array itself, but not before another is computed.

    For what a gradient needs beside the cotangent that it comes with: XLA would compute parts of it in the forward
    pass already, and hold them in memory until then. It has no gradient of its own.

    Args:
      x: floating, of any shape, not empty.
      until: likewise.
    """
    return lax.platform_dependent(x, until, cpu=_times_one, default=lambda *both: lax.optimization_barrier(both)[0])


def _times_one(x: jax.Array, until: jax.Array) -> jax.Array:
    return x * (1 + _hidden_zero(until)).astype(x.dtype)


@jax.jit
def _materialize(x: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, cpu=_write, default=lambda x: x)


@jax.custom_batching.custom_vmap
def _write(x: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice(x, _first(x), (_hidden_zero(x),) * x.ndim)


@_write.def_vmap
def _write_batch(axis_size: int, in_batched: list[bool], x: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size, in_batched
    return _write(x), True


def _hidden_zero(x: jax.Array) -> jax.Array:
    """0, computed from an array in a way that the compiler does not see through."""
    return jnp.clip(_first(x).astype(jnp.int32).reshape(()), 0, 0)


def _first(x: jax.Array) -> jax.Array:
    return lax.slice(x, (0,) * x.ndim, (1,) * x.ndim)
