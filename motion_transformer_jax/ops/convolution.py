"""Convolutions, each by the algorithm that is fastest for its shape where it runs: the one place that chooses.

Accelerators have libraries that choose for themselves, and take XLA's convolution and its gradients. On CPUs, where
the number of multiplications is the limit, large 3×3 convolutions of many channels go by Winograd's algorithm, and
those to few channels or of few pixels by one matrix product. All give the same numbers but for rounding.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.fusion import apart
from motion_transformer_jax.ops.normalization import Affine, Normalized, normalization_gradients
from motion_transformer_jax.ops.products import product_over_rows
from motion_transformer_jax.ops.reduction import sum_pixels
from motion_transformer_jax.ops.resize import upsample_nearest
from motion_transformer_jax.ops.winograd import (
    SAME,
    UPSAMPLED,
    winograd,
    winograd_input_gradient,
    winograd_kernel_gradient,
)

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Measured on AVX-512 cores. Below, transforms cost more than multiplications are saved, or save too little for the time
# that it takes to compile them. Pixels are those of an image, numbers pixels times channels.
_WINOGRAD_CHANNELS, _WINOGRAD_NUMBERS = 64, 32 * 32 * 128
_WINOGRAD_GRADIENT_CHANNELS, _WINOGRAD_GRADIENT_NUMBERS = 32, 16 * 16 * 128  # for a kernel's gradient
_WINOGRAD_UPSAMPLED_PIXELS = 8 * 8
_FEW_CHANNELS = 16
_FEW_PIXELS = 8 * 8


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    stride: int = 1,
    padding: int = 0,
    relu: bool = False,
) -> jax.Array:
    """A convolution (cross-correlation, as everywhere in this field) with zeros outside the image.

    Args:
      x: [B, H, W, C], floating.
      kernel: [k, k, C, D] in the type of x.
      bias: [D] in the type of x, or None.
      stride: pixels between neighbouring places of the kernel.
      padding: zeros on each side.
      relu: whether a ReLU follows.

    Returns:
      [B, H', W', D] in the type of x; H' = (H + 2 padding - k) // stride + 1, W' likewise.
    """
    return _anywhere(x, None, kernel, bias, stride, padding, relu)


def _forward(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, stride: int, padding: int, relu: bool):
    result = convolve(x, kernel, bias, stride, padding, relu)
    return result, (x, kernel, bias, result if relu else None)


def _backward(stride: int, padding: int, relu: bool, saved: tuple, gradient: jax.Array):
    x, kernel, bias, result = saved
    # Each apart from the others: that by a photograph is read by nobody, and not computed then.
    return (
        _input_gradient(x.shape, stride, padding, kernel, gradient, result),
        _kernel_gradient(kernel.shape[0], stride, padding, x, None, gradient, result),
        None if bias is None else sum_pixels(_through_relu(gradient, result)),
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
    return lax.platform_dependent(x, kernel, bias, cpu=apart(_upsampled_on_cpu), default=_upsampled_by_xla)


def _upsampled_forward(x: jax.Array, kernel: jax.Array, bias: jax.Array | None):
    return convolve_upsampled(x, kernel, bias), (x, kernel, bias)


@jax.jit
def _upsampled_backward(saved: tuple, gradient: jax.Array):
    def by_xla(x: jax.Array, kernel: jax.Array, gradient: jax.Array):
        return jax.vjp(_upsampled_by_xla, x, kernel)[1](gradient)

    x, kernel, bias = saved
    gradients = lax.platform_dependent(x, kernel, gradient, cpu=apart(_upsampled_gradients_on_cpu), default=by_xla)
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
        return _on_cpu(_prepare(x, before, kernel.dtype), kernel, stride=stride, padding=padding, finish=finish)

    def elsewhere(x, before, kernel, bias):
        return _finish(_by_xla(_prepare(x, before, kernel.dtype), kernel, stride=stride, padding=padding), bias, relu)

    return lax.platform_dependent(x, before, kernel, bias, cpu=apart(on_cpu), default=elsewhere)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _input_gradient(
    shape: tuple[int, ...],
    stride: int,
    padding: int,
    kernel: jax.Array,
    gradient: jax.Array,
    result: jax.Array | None,
) -> jax.Array:
    options = {"shape": shape, "stride": stride, "padding": padding}

    def on_cpu(kernel, gradient, result):
        return _input_gradient_on_cpu(kernel, _through_relu(gradient, result), **options)

    def elsewhere(kernel, gradient, result):
        return _transposed_by_input(_by_xla, kernel, _through_relu(gradient, result), **options)

    return lax.platform_dependent(kernel, gradient, result, cpu=apart(on_cpu), default=elsewhere)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _kernel_gradient(
    size: int,
    stride: int,
    padding: int,
    x: jax.Array,
    before: Affine | None,
    gradient: jax.Array,
    result: jax.Array | None,
) -> jax.Array:
    options = {"size": size, "stride": stride, "padding": padding}

    def on_cpu(x, before, gradient, result):
        return _kernel_gradient_on_cpu(_prepare(x, before, gradient.dtype), _through_relu(gradient, result), **options)

    def elsewhere(x, before, gradient, result):
        return _transposed_by_kernel(_prepare(x, before, gradient.dtype), _through_relu(gradient, result), **options)

    return lax.platform_dependent(x, before, gradient, result, cpu=apart(on_cpu), default=elsewhere)


def _prepare(x: jax.Array, before: Affine | None, dtype: jnp.dtype) -> jax.Array:
    return x if before is None else before(x).astype(dtype)


def _finish(result: jax.Array, bias: jax.Array | None, relu: bool = False) -> jax.Array:
    result = result if bias is None else result + bias
    return jnp.maximum(result, 0) if relu else result


def _through_relu(gradient: jax.Array, result: jax.Array | None) -> jax.Array:
    """The gradient where the ReLU's result is above 0; all of it where there was no ReLU, and the result is None."""
    return gradient if result is None else jnp.where(result > 0, gradient, 0)


def _by_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    pads = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_DIMENSIONS)


def _transposed_by_input(
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


def _transposed_by_kernel(x: jax.Array, gradient: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """The gradient by a kernel of size by size pixels, as JAX derives it from XLA's convolution."""
    by_kernel = functools.partial(_by_xla, x, stride=stride, padding=padding)
    shape = (size, size, x.shape[-1], gradient.shape[-1])
    return jax.linear_transpose(by_kernel, jax.ShapeDtypeStruct(shape, x.dtype))(gradient)[0]


def _upsampled_by_xla(x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    return _finish(_by_xla(upsample_nearest(x, 2), kernel, stride=1, padding=1), bias)


def _on_cpu(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: int,
    finish: Callable[[jax.Array], jax.Array] = lambda result: result,
) -> jax.Array:
    size, _, *channels = kernel.shape
    if _keeps_size(size, stride, padding):
        if size == 3 and _suits_winograd(x, *channels):
            return winograd(SAME, x, kernel, finish)
        if _has_few_outputs(*channels):
            return finish(_to_few_channels(x, kernel))
    if padding > 0 and _is_small(x):
        return finish(_by_patches(x, kernel, stride=stride, padding=padding))
    return finish(_by_xla(x, kernel, stride=stride, padding=padding))


def _input_gradient_on_cpu(
    kernel: jax.Array, gradient: jax.Array, *, shape: tuple[int, ...], stride: int, padding: int
) -> jax.Array:
    if not _keeps_size(kernel.shape[0], stride, padding):
        return _transposed_by_input(_by_patches, kernel, gradient, shape=shape, stride=stride, padding=padding)
    if _is_small(gradient):
        return _few_pixels_input_gradient(kernel, gradient)
    return _on_cpu(gradient, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), stride=stride, padding=padding)


def _kernel_gradient_on_cpu(x: jax.Array, gradient: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    channels = x.shape[-1], gradient.shape[-1]
    if not _keeps_size(size, stride, padding) or _is_small(x):
        return _kernel_gradient_by_patches(x, gradient, size=size, stride=stride, padding=padding)
    if size == 3 and _suits_winograd_gradient(x, *channels):
        return winograd_kernel_gradient(SAME, x, gradient)
    if _has_few_outputs(*channels):
        return _few_channels_kernel_gradient(x, gradient, size)
    return _kernel_gradient_by_xla(x, gradient, padding)


def _upsampled_on_cpu(x: jax.Array, kernel: jax.Array, bias: jax.Array | None) -> jax.Array:
    finish = functools.partial(_finish, bias=bias)
    if _upsampled_suits_winograd(x, kernel):
        return winograd(UPSAMPLED, x, kernel, finish)
    return _on_cpu(upsample_nearest(x, 2), kernel, stride=1, padding=1, finish=finish)


def _upsampled_gradients_on_cpu(x: jax.Array, kernel: jax.Array, gradient: jax.Array):
    if _upsampled_suits_winograd(x, kernel):
        input_gradient = winograd_input_gradient(UPSAMPLED, kernel, gradient)
        return input_gradient, winograd_kernel_gradient(UPSAMPLED, x, gradient)
    large, shrink = jax.vjp(lambda x: upsample_nearest(x, 2), x)
    large_gradient = _input_gradient_on_cpu(kernel, gradient, shape=large.shape, stride=1, padding=1)
    return shrink(large_gradient)[0], _kernel_gradient_on_cpu(large, gradient, size=3, stride=1, padding=1)


def _upsampled_suits_winograd(x: jax.Array, kernel: jax.Array) -> bool:
    return min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS and _num_pixels(x) >= _WINOGRAD_UPSAMPLED_PIXELS


def _keeps_size(size: int, stride: int, padding: int) -> bool:
    """Whether images keep their size, under a kernel of several pixels: with one, it is a matrix product."""
    return stride == 1 and 2 * padding + 1 == size > 1


def _suits_winograd(x: jax.Array, *channels: int) -> bool:
    return _allows_winograd(x) and _is_large(x, min(channels), _WINOGRAD_CHANNELS, _WINOGRAD_NUMBERS)


def _suits_winograd_gradient(x: jax.Array, *channels: int) -> bool:
    return _allows_winograd(x) and _is_large(x, min(channels), _WINOGRAD_GRADIENT_CHANNELS, _WINOGRAD_GRADIENT_NUMBERS)


def _allows_winograd(x: jax.Array) -> bool:
    return all(size % SAME.tile == 0 for size in x.shape[1:3]) and jnp.finfo(x.dtype).bits >= 32


def _is_large(x: jax.Array, channels: int, least_channels: int, least_numbers: int) -> bool:
    return channels >= least_channels and _num_pixels(x) * channels >= least_numbers


def _num_pixels(x: jax.Array) -> int:
    """Of one image."""
    return x.shape[1] * x.shape[2]


def _has_few_outputs(inputs: int, outputs: int) -> bool:
    return outputs <= _FEW_CHANNELS < inputs


def _is_small(x: jax.Array) -> bool:
    return _num_pixels(x) <= _FEW_PIXELS


def _kernel_gradient_by_xla(x: jax.Array, gradient: jax.Array, padding: int) -> jax.Array:
    """Of a convolution with stride 1, as a convolution in the order of dimensions that XLA's fast one takes."""
    images, kernel = x.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3)
    return _by_xla(images, kernel, stride=1, padding=padding).transpose(1, 2, 0, 3)


def _by_patches(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """One matrix product of the pixels under the kernel with the kernel."""
    patches = _patches(x, size=len(kernel), stride=stride, padding=padding)
    outputs = kernel.shape[-1]
    return (patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, outputs)).reshape(*patches.shape[:3], outputs)


def _kernel_gradient_by_patches(x: jax.Array, gradient: jax.Array, *, size: int, stride: int, padding: int):
    patches = _patches(x, size=size, stride=stride, padding=padding)
    patches, gradient = (array.reshape(-1, array.shape[-1]) for array in (patches, gradient))
    return product_over_rows(patches, gradient).reshape(size, size, x.shape[-1], -1)


def _patches(x: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """[B, H', W', k k C], the pixels under the kernel."""
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((length - size) // stride + 1 for length in padded.shape[1:3])
    shifted = [
        padded[:, i : i + stride * height : stride, j : j + stride * width : stride][:, :height, :width]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(shifted, axis=-1)


def _few_pixels_input_gradient(kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    """[B, H, W, C] as one matrix product of the kernel, as it lies, with all pixels, for kernels larger than images."""
    size, _, inputs, outputs = kernel.shape
    batch, height, width, _ = gradient.shape
    products = kernel.reshape(-1, outputs) @ gradient.reshape(-1, outputs).T
    reach = size // 2
    products = products.reshape(size, size, inputs, batch, height, width)
    products = jnp.pad(products, ((0, 0),) * 4 + ((reach, reach),) * 2)
    # The kernel's place (i, j) takes pixel p to the result's pixel p + (reach - i, reach - j).
    places = [(i, j, 2 * reach - i, 2 * reach - j) for i in range(size) for j in range(size)]
    total = sum(products[i, j, :, :, top : top + height, left : left + width] for i, j, top, left in places)
    return total.transpose(1, 2, 3, 0)


def _to_few_channels(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One matrix product for all places of the kernel; then each result is a sum of its neighbours' products.

    XLA's convolution keeps vectors along the channels of the result, of which there are too few.
    """
    size, _, inputs, outputs = kernel.shape
    batch, height, width, _ = x.shape
    products = x.reshape(-1, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    reach = size // 2
    products = products.reshape(batch, height, width, size, size, outputs)
    products = jnp.pad(products, ((0, 0), (reach, reach), (reach, reach)) + ((0, 0),) * 3)
    return sum(products[:, i : i + height, j : j + width, i, j] for i in range(size) for j in range(size))


def _few_channels_kernel_gradient(x: jax.Array, gradient: jax.Array, size: int) -> jax.Array:
    """[k, k, C, D] as one matrix product of the input with the gradient's shifted planes."""
    _, height, width, inputs = x.shape
    reach = size // 2
    planes = jnp.pad(gradient.transpose(3, 0, 1, 2), ((0, 0), (0, 0)) + ((reach, reach),) * 2)
    # The kernel's place (i, j) meets pixel p and the result's pixel p + (reach - i, reach - j).
    places = [(2 * reach - i, 2 * reach - j) for i in range(size) for j in range(size)]
    shifted = jnp.stack([planes[:, :, i : i + height, j : j + width] for i, j in places])
    product = jnp.einsum("nt,tc->nc", shifted.reshape(len(places) * len(planes), -1), x.reshape(-1, inputs))
    return product.reshape(size, size, -1, inputs).swapaxes(2, 3)
