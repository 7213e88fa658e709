"""XLA's convolution, and gradients as JAX derives them."""

import functools
from collections.abc import Callable

import jax
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def by_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """[B, H, W, C] and [k, k, C, D] to [B, H', W', D], with zeros outside."""
    pads = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_DIMENSIONS)


def transposed_by_input(
    convolution: Callable[..., jax.Array],
    kernel: jax.Array,
    gradient: jax.Array,
    *,
    shape: tuple[int, ...],
    stride: int,
    padding: int,
) -> jax.Array:
    """The gradient by an input of the given shape, as JAX derives it from the convolution."""
    convolve_input = functools.partial(convolution, kernel=kernel, stride=stride, padding=padding)
    return jax.linear_transpose(convolve_input, jax.ShapeDtypeStruct(shape, kernel.dtype))(gradient)[0]


def transposed_by_kernel(x: jax.Array, gradient: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """The gradient by a kernel of size by size pixels, as JAX derives it from XLA's convolution."""
    by_kernel = functools.partial(by_xla, x, stride=stride, padding=padding)
    shape = (size, size, x.shape[-1], gradient.shape[-1])
    return jax.linear_transpose(by_kernel, jax.ShapeDtypeStruct(shape, x.dtype))(gradient)[0]
