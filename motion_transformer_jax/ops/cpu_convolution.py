"""Convolutions on CPUs, each by the algorithm that is fastest for its shape: the one place that chooses.

The number of multiplications is the limit there: large 3×3 convolutions of many channels go by Winograd's algorithm,
those to few channels or of few pixels by one matrix product.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.fusion import apart
from motion_transformer_jax.ops.products import product_over_rows
from motion_transformer_jax.ops.resize import upsample_nearest
from motion_transformer_jax.ops.winograd import (
    SAME,
    UPSAMPLED,
    Algorithm,
    winograd,
    winograd_input_gradient,
    winograd_kernel_gradient,
)
from motion_transformer_jax.ops.xla_convolution import by_xla, transposed_by_input

# Measured on AVX-512 cores. Below, transforms cost more than multiplications are saved, or save too little for the time
# that it takes to compile them. Pixels are those of an image, numbers pixels times channels.
_WINOGRAD_CHANNELS, _WINOGRAD_NUMBERS = 64, 32 * 32 * 128
_WINOGRAD_GRADIENT_CHANNELS, _WINOGRAD_GRADIENT_NUMBERS = 32, 16 * 16 * 128  # for a kernel's gradient
_LOOPED_NUMBERS = 64 * 64 * 64  # above, a loop over the rows of a kernel gradient's patches is 5 to 20 % slower
_WINOGRAD_UPSAMPLED_PIXELS = 8 * 8
_WHOLE_NUMBERS = 25_000_000  # of Winograd's patches; strips are no faster for fewer
_STRIP_NUMBERS = 10_000_000  # of a strip's, at most
_FEW_CHANNELS = 16
_FEW_PIXELS = 8 * 8


def convolve_on_cpu(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: int,
    finish: Callable[[jax.Array], jax.Array] = lambda result: result,
) -> jax.Array:
    """[B, H, W, C] and [k, k, C, D] to [B, H', W', D]; `finish` is computed of each number on its way to memory."""
    size, _, *channels = kernel.shape
    if _keeps_size(size, stride, padding):
        if size == 3 and _suits_winograd(x, *channels):
            return winograd(SAME, x, kernel, finish, _rows_of_strip(SAME, x, *channels))
        if _has_few_outputs(*channels):
            return finish(_to_few_channels(x, kernel))
    if padding > 0 and _is_small(x):
        return finish(_by_patches(x, kernel, stride=stride, padding=padding))
    return finish(by_xla(x, kernel, stride=stride, padding=padding))


def input_gradient_on_cpu(
    kernel: jax.Array, gradient: jax.Array, *, shape: tuple[int, ...], stride: int, padding: int
) -> jax.Array:
    """The gradient by an input of the given shape [B, H, W, C], from that by the result [B, H', W', D]."""
    if not _keeps_size(kernel.shape[0], stride, padding):
        return transposed_by_input(_by_patches, kernel, gradient, shape=shape, stride=stride, padding=padding)
    if _is_small(gradient):
        return _few_pixels_input_gradient(kernel, gradient)
    return convolve_on_cpu(gradient, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), stride=stride, padding=padding)


def kernel_gradient_on_cpu(x: jax.Array, gradient: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """The gradient by the kernel, [k, k, C, D], of `size` pixels a side."""
    channels = x.shape[-1], gradient.shape[-1]
    if not _keeps_size(size, stride, padding) or _is_small(x):
        return _kernel_gradient_by_patches(x, gradient, size=size, stride=stride, padding=padding)
    if size == 3 and _suits_winograd_gradient(x, *channels):
        looped = _num_pixels(x) * max(channels) <= _LOOPED_NUMBERS
        rows = _rows_of_strip(SAME, x, *channels)
        return winograd_kernel_gradient(SAME, x, gradient, looped=looped, rows=rows)
    if _has_few_outputs(*channels):
        return _few_channels_kernel_gradient(x, gradient, size)
    return _kernel_gradient_by_xla(x, gradient, padding)


def upsampled_on_cpu(x: jax.Array, kernel: jax.Array, finish: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """A 3×3 convolution of the ×2 enlargement, see `convolve_on_cpu`: [B, H, W, C] to [B, 2H, 2W, D]."""
    if _upsampled_suits_winograd(x, kernel):
        return winograd(UPSAMPLED, x, kernel, finish, _rows_of_strip(UPSAMPLED, x, *kernel.shape[2:]))
    return convolve_on_cpu(upsample_nearest(x, 2), kernel, stride=1, padding=1, finish=finish)


def upsampled_gradients_on_cpu(x: jax.Array, kernel: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The gradients of `upsampled_on_cpu` by image and kernel."""
    if _upsampled_suits_winograd(x, kernel):
        rows = _rows_of_strip(UPSAMPLED, x, *kernel.shape[2:])
        input_gradient = winograd_input_gradient(UPSAMPLED, kernel, gradient)
        return input_gradient, winograd_kernel_gradient(UPSAMPLED, x, gradient, rows=rows)
    large, shrink = jax.vjp(lambda x: upsample_nearest(x, 2), x)
    large_gradient = input_gradient_on_cpu(kernel, gradient, shape=large.shape, stride=1, padding=1)
    return shrink(large_gradient)[0], kernel_gradient_on_cpu(large, gradient, size=3, stride=1, padding=1)


def _upsampled_suits_winograd(x: jax.Array, kernel: jax.Array) -> bool:
    return min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS and _num_pixels(x) >= _WINOGRAD_UPSAMPLED_PIXELS


def _rows_of_strip(algorithm: Algorithm, x: jax.Array, *channels: int) -> int | None:
    """How many rows of an image Winograd's algorithm takes at once; None for all of the batch."""
    batch, height, width, _ = x.shape
    numbers_of_row = width * sum(channels) * algorithm.patch**2 / algorithm.step**2
    if batch * height * numbers_of_row <= _WHOLE_NUMBERS:
        return None
    divisors = (rows for rows in range(algorithm.step, height + 1, algorithm.step) if height % rows == 0)
    return max((rows for rows in divisors if rows * numbers_of_row <= _STRIP_NUMBERS), default=algorithm.step)


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
    return by_xla(images, kernel, stride=1, padding=padding).transpose(1, 2, 0, 3)


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

    XLA's convolution keeps vectors along the channels of the result, of which there are too few. Image by image, as the
    products take many times the memory of the result, and apart, as XLA stores a loop's result by a single thread.
    """
    size, _, inputs, outputs = kernel.shape
    _, height, width, _ = x.shape
    places, reach = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1), size // 2

    def of_image(image: jax.Array) -> jax.Array:
        products = (image.reshape(-1, inputs) @ places).reshape(height, width, size, size, outputs)
        products = jnp.pad(products, ((reach, reach), (reach, reach)) + ((0, 0),) * 3)
        return sum(products[i : i + height, j : j + width, i, j] for i in range(size) for j in range(size))

    return jax.lax.map(apart(of_image), x)


def _few_channels_kernel_gradient(x: jax.Array, gradient: jax.Array, size: int) -> jax.Array:
    """[k, k, C, D] as one matrix product of each image with the gradient's shifted planes, image by image."""
    _, height, width, inputs = x.shape
    reach = size // 2
    # The kernel's place (i, j) meets pixel p and the result's pixel p + (reach - i, reach - j).
    places = [(2 * reach - i, 2 * reach - j) for i in range(size) for j in range(size)]

    def add_image(total: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        image, of_result = pair
        planes = jnp.pad(of_result.transpose(2, 0, 1), ((0, 0),) + ((reach, reach),) * 2)
        shifted = jnp.stack([planes[:, i : i + height, j : j + width] for i, j in places])
        return total + shifted.reshape(len(places) * len(planes), -1) @ image.reshape(-1, inputs), None

    total = jnp.zeros((len(places) * gradient.shape[-1], inputs), x.dtype)
    product, _ = jax.lax.scan(add_image, total, (x, gradient))
    return product.reshape(size, size, -1, inputs).swapaxes(2, 3)
