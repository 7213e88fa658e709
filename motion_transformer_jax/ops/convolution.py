"""Convolutions with what goes before and after them, and their gradients: each by the form that suits its platform.

Accelerators have libraries that choose for themselves, and take XLA's convolution and its gradients; CPUs take those of
`cpu_convolution.py`. All give the same numbers but for rounding.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.cpu_convolution import (
    convolve_on_cpu,
    input_gradient_on_cpu,
    kernel_gradient_on_cpu,
    upsampled_gradients_on_cpu,
    upsampled_on_cpu,
)
from motion_transformer_jax.ops.fusion import apart, materialize
from motion_transformer_jax.ops.normalization import Affine, Normalized, normalization_gradients
from motion_transformer_jax.ops.reduction import followed_by_zeros, sum_pixels
from motion_transformer_jax.ops.resize import upsample_nearest
from motion_transformer_jax.ops.xla_convolution import by_xla, transposed_by_input, transposed_by_kernel


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    stride: int = 1,
    padding: int = 0,
    relu: bool = False,
    num_constants: int = 0,
) -> jax.Array:
    """A convolution (cross-correlation, as everywhere in this field) with zeros outside the image.

    Args:
      x: [B, H, W, C], floating.
      kernel: [k, k, C, D] in the type of x.
      bias: [D] in the type of x, or None.
      stride: pixels between neighbouring places of the kernel.
      padding: zeros on each side.
      relu: whether a ReLU follows.
      num_constants: how many images, the last ones, are constants: gradients flow through the others alone, and only
        of these are they computed.

    Returns:
      [B, H', W', D] in the type of x; H' = (H + 2 padding - k) // stride + 1, W' likewise.
    """
    return _anywhere(x, None, kernel, bias, stride, padding, relu)


def _forward(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    stride: int,
    padding: int,
    relu: bool,
    num_constants: int,
):
    result = convolve(x, kernel, bias, stride, padding, relu, num_constants)
    varying = len(x) - num_constants
    # Where the ReLU let numbers pass is all that its gradient asks for, a quarter of the result's memory.
    return result, (x[:varying], kernel, bias, materialize(result[:varying] > 0) if relu else None)


def _backward(stride: int, padding: int, relu: bool, num_constants: int, saved: tuple, gradient: jax.Array):
    x, kernel, bias, passed = saved
    gradient = gradient[: len(x)]
    # Each apart from the others: that by a photograph is read by nobody, and not computed then.
    return (
        followed_by_zeros(_input_gradient(x.shape, stride, padding, kernel, gradient, passed), num_constants),
        _kernel_gradient(kernel.shape[0], stride, padding, x, None, gradient, passed),
        None if bias is None else sum_pixels(_through_relu(gradient, passed)),
    )


convolve.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def convolve_normalized(
    normalized: Normalized, kernel: jax.Array, bias: jax.Array | None = None, stride: int = 1, padding: int = 0
) -> jax.Array:
    """`convolve` of what `normalize` would compute: it is not kept for the gradient, but computed again.

    Args:
      normalized: of images [B, H, W, C].
      kernel: [k, k, C, D], floating; the normalised images take its type.
      bias, stride, padding: as of `convolve`.

    Returns:
      As of `convolve`, in the type of the kernel.
    """
    return _anywhere(normalized.x, normalized.affine(), kernel, bias, stride, padding, False)


def _normalized_forward(normalized: Normalized, kernel: jax.Array, bias: jax.Array | None, stride: int, padding: int):
    return convolve_normalized(normalized, kernel, bias, stride, padding), (normalized, kernel, bias)


def _normalized_backward(stride: int, padding: int, saved: tuple, gradient: jax.Array):
    normalized, kernel, bias = saved
    x = normalized.x
    return (
        normalization_gradients(normalized, _input_gradient(x.shape, stride, padding, kernel, gradient, None)),
        _kernel_gradient(kernel.shape[0], stride, padding, x, normalized.affine(), gradient, None),
        None if bias is None else sum_pixels(gradient),
    )


convolve_normalized.defvjp(_normalized_forward, _normalized_backward)


@jax.custom_vjp
def convolve_upsampled(x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Nearest ×2 enlargement and a 3×3 convolution that keeps the size, zeros outside.

    Args:
      x: [B, H, W, C], floating.
      kernel: [3, 3, C, D] in the type of x.
      bias: [D] in the type of x, or None.

    Returns:
      [B, 2H, 2W, D] in the type of x.
    """

    def on_cpu(x, kernel, bias):
        return upsampled_on_cpu(x, kernel, functools.partial(_finish, bias=bias))

    return lax.platform_dependent(x, kernel, bias, cpu=apart(on_cpu), default=_upsampled_by_xla)


def _upsampled_forward(x: jax.Array, kernel: jax.Array, bias: jax.Array | None):
    return convolve_upsampled(x, kernel, bias), (x, kernel, bias)


@jax.jit
def _upsampled_backward(saved: tuple, gradient: jax.Array):
    def by_xla(x: jax.Array, kernel: jax.Array, gradient: jax.Array):
        return jax.vjp(_upsampled_by_xla, x, kernel)[1](gradient)

    x, kernel, bias = saved
    gradients = lax.platform_dependent(x, kernel, gradient, cpu=apart(upsampled_gradients_on_cpu), default=by_xla)
    return *gradients, None if bias is None else sum_pixels(gradient)


convolve_upsampled.defvjp(_upsampled_forward, _upsampled_backward)


# These are jitted so that layers of one shape are traced once.
@functools.partial(jax.jit, static_argnums=(4, 5, 6))
def _anywhere(
    x: jax.Array,
    before: Affine | None,
    kernel: jax.Array,
    bias: jax.Array | None,
    stride: int,
    padding: int,
    relu: bool,
) -> jax.Array:
    def on_cpu(x, before, kernel, bias):
        finish = functools.partial(_finish, bias=bias, relu=relu)
        return convolve_on_cpu(_prepare(x, before, kernel.dtype), kernel, stride=stride, padding=padding, finish=finish)

    def elsewhere(x, before, kernel, bias):
        return _finish(by_xla(_prepare(x, before, kernel.dtype), kernel, stride=stride, padding=padding), bias, relu)

    return lax.platform_dependent(x, before, kernel, bias, cpu=apart(on_cpu), default=elsewhere)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _input_gradient(
    shape: tuple[int, ...],
    stride: int,
    padding: int,
    kernel: jax.Array,
    gradient: jax.Array,
    passed: jax.Array | None,
) -> jax.Array:
    options = {"shape": shape, "stride": stride, "padding": padding}

    def on_cpu(kernel, gradient, passed):
        return input_gradient_on_cpu(kernel, _through_relu(gradient, passed), **options)

    def elsewhere(kernel, gradient, passed):
        return transposed_by_input(by_xla, kernel, _through_relu(gradient, passed), **options)

    return lax.platform_dependent(kernel, gradient, passed, cpu=apart(on_cpu), default=elsewhere)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _kernel_gradient(
    size: int,
    stride: int,
    padding: int,
    x: jax.Array,
    before: Affine | None,
    gradient: jax.Array,
    passed: jax.Array | None,
) -> jax.Array:
    options = {"size": size, "stride": stride, "padding": padding}

    def on_cpu(x, before, gradient, passed):
        return kernel_gradient_on_cpu(_prepare(x, before, gradient.dtype), _through_relu(gradient, passed), **options)

    def elsewhere(x, before, gradient, passed):
        return transposed_by_kernel(_prepare(x, before, gradient.dtype), _through_relu(gradient, passed), **options)

    return lax.platform_dependent(x, before, gradient, passed, cpu=apart(on_cpu), default=elsewhere)


def _prepare(x: jax.Array, before: Affine | None, dtype: jnp.dtype) -> jax.Array:
    return x if before is None else before(x).astype(dtype)


def _finish(result: jax.Array, bias: jax.Array | None, relu: bool = False) -> jax.Array:
    result = result if bias is None else result + bias
    return jnp.maximum(result, 0) if relu else result


def _through_relu(gradient: jax.Array, passed: jax.Array | None) -> jax.Array:
    """The gradient where the ReLU's result was above 0; all of it where there was no ReLU, and `passed` is None."""
    return gradient if passed is None else jnp.where(passed, gradient, 0)


def _upsampled_by_xla(x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    return _finish(by_xla(upsample_nearest(x, 2), kernel, stride=1, padding=1), bias)
