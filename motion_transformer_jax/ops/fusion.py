"""Control over what XLA's CPU backend computes more than once."""

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


@jax.jit
def _materialize(x: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, cpu=_write, default=lambda x: x)


@jax.custom_batching.custom_vmap
def _write(x: jax.Array) -> jax.Array:
    first = lax.slice(x, (0,) * x.ndim, (1,) * x.ndim)
    # Always 0, which the compiler does not notice.
    place = jnp.clip(first.astype(jnp.int32).reshape(()), 0, 0)
    return lax.dynamic_update_slice(x, first, (place,) * x.ndim)


@_write.def_vmap
def _write_batch(axis_size: int, in_batched: list[bool], x: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size, in_batched
    return _write(x), True
