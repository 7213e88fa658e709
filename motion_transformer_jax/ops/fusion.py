"""Control over what XLA's CPU compiler computes together, how often, and how early."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import lax
from jax.experimental.scheduling_groups import xla_metadata_call

_Result = TypeVar("_Result")


def apart(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """The function as one operation of the surrounding program, for CPU: a call that XLA does not inline.

    XLA's CPU runtime compares each operation of a program with all earlier ones, when it compiles and when it loads it,
    and its scheduler computes as early as it can whatever needs no gradient. What stands apart is ordered among itself,
    and begins when all arguments are there. Arguments and results are arrays in memory, computed once.

    Args:
      function: of arrays, and without collectives. Its convolutions must have the dimensions NHWC, HWIO and NHWC and
        no dilation: XLA brings others into the order of its fast kind in the main program only, and takes 100 times as
        long here.
    """
    return xla_metadata_call(function, inlineable="false")


@jax.custom_vjp
def materialize(x: jax.Array) -> jax.Array:
    """The array itself, written to memory once on CPU, whoever reads it; its cotangent too.

    XLA's CPU fusion gives each reader of a sum its own copy of the computation, all the way up a residual stream, and
    drops `lax.optimization_barrier` before it does.

    Args:
      x: of any shape.
    """
    return _materialize(x)


def _forward(x: jax.Array) -> tuple[jax.Array, None]:
    return _materialize(x), None


def _backward(_: None, cotangent: jax.Array) -> tuple[jax.Array]:
    return (_materialize(cotangent),)


materialize.defvjp(_forward, _backward)


@jax.jit
def _materialize(x: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, cpu=apart(lambda x: x), default=lambda x: x)
