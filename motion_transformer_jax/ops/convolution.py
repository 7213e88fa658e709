"""Convolutions, each by the algorithm that is fastest for its shape where it runs: the one place that chooses.

Accelerators have libraries that choose for themselves, and take XLA's convolution and its gradients. On CPUs, where
the number of multiplications is the limit, large 3×3 convolutions of many channels go by Winograd's algorithm, and
those to few channels or of few pixels by one matrix product. All give the same numbers but for rounding.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.fusion import materialize
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
# that it takes to compile them. Numbers are pixels of an image times channels.
_WINOGRAD_CHANNELS, _WINOGRAD_NUMBERS = 64, 32 * 32 * 512
_WINOGRAD_GRADIENT_CHANNELS, _WINOGRAD_GRADIENT_NUMBERS = 32, 64 * 64 * 32  # for a kernel's gradient
_FEW_CHANNELS = 16
_FEW_PIXELS = 8 * 8


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """A convolution (cross-correlation, as everywhere in this field) with zeros outside the image.

    Args:
      x: [B, H, W, C], floating.
      kernel: [k, k, C, D] in the type of x.
      stride: pixels between neighbouring places of the kernel.
      padding: zeros on each side.

    Returns:
      [B, H', W', D] in the type of x; H' = (H + 2 padding - k) // stride + 1, W' likewise.
    """
    return _anywhere(x, kernel, stride, padding)


# This and others are jitted so that layers of one shape are traced once.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _anywhere(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    on_cpu = functools.partial(_on_cpu, stride=stride, padding=padding)
    elsewhere = functools.partial(_by_xla, stride=stride, padding=padding)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _forward(x: jax.Array, kernel: jax.Array, stride: int, padding: int):
    return _anywhere(x, kernel, stride, padding), (x, kernel)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _backward(stride: int, padding: int, saved: tuple[jax.Array, jax.Array], gradient: jax.Array):
    on_cpu = functools.partial(_gradients_on_cpu, stride=stride, padding=padding)
    elsewhere = functools.partial(_gradients_by_xla, stride=stride, padding=padding)
    return lax.platform_dependent(*saved, gradient, cpu=on_cpu, default=elsewhere)


convolve.defvjp(_forward, _backward)


@jax.custom_vjp
def convolve_upsampled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Nearest ×2 enlargement and a 3×3 convolution that keeps the size, zeros outside.

    Args:
      x: [B, H, W, C], floating.
      kernel: [3, 3, C, D] in the type of x.

    Returns:
      [B, 2H, 2W, D] in the type of x.
    """
    return lax.platform_dependent(x, kernel, cpu=_upsampled_on_cpu, default=_upsampled_by_xla)


def _upsampled_forward(x: jax.Array, kernel: jax.Array):
    return convolve_upsampled(x, kernel), (x, kernel)


@jax.jit
def _upsampled_backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array):
    def by_xla(x: jax.Array, kernel: jax.Array, gradient: jax.Array):
        return jax.vjp(_upsampled_by_xla, x, kernel)[1](gradient)

    return lax.platform_dependent(*saved, gradient, cpu=_upsampled_gradients_on_cpu, default=by_xla)


convolve_upsampled.defvjp(_upsampled_forward, _upsampled_backward)


def _by_xla(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    pads = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_DIMENSIONS)


def _gradients_by_xla(x: jax.Array, kernel: jax.Array, gradient: jax.Array, *, stride: int, padding: int):
    return jax.vjp(functools.partial(_by_xla, stride=stride, padding=padding), x, kernel)[1](gradient)


def _upsampled_by_xla(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _by_xla(upsample_nearest(x, 2), kernel, stride=1, padding=1)


@functools.partial(jax.jit, static_argnames=("stride", "padding"))
def _on_cpu(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    if _suits_winograd(x, kernel, stride, padding):
        return winograd(SAME, x, kernel)
    if _has_few_outputs(kernel, stride, padding):
        return _to_few_channels(x, kernel)
    if _is_small(x, kernel, padding):
        return _by_patches(x, kernel, stride=stride, padding=padding)
    return _by_xla(x, kernel, stride=stride, padding=padding)


@functools.partial(jax.jit, static_argnames=("stride", "padding"))
def _gradients_on_cpu(x: jax.Array, kernel: jax.Array, gradient: jax.Array, *, stride: int, padding: int):
    gradient = materialize(gradient)  # read many times below
    keeps_size = stride == 1 and 2 * padding + 1 == kernel.shape[0]
    if not keeps_size or _is_small(x, kernel, padding):
        by_patches = functools.partial(_by_patches, stride=stride, padding=padding)
        return jax.vjp(by_patches, x, kernel)[1](gradient)
    transposed = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    input_gradient = _on_cpu(gradient, transposed, stride=stride, padding=padding)
    return input_gradient, _kernel_gradient(x, kernel, gradient, padding)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, gradient: jax.Array, padding: int) -> jax.Array:
    """Of a convolution that keeps the size."""
    limits = {"channels": _WINOGRAD_GRADIENT_CHANNELS, "numbers": _WINOGRAD_GRADIENT_NUMBERS}
    if _allows_winograd(x, kernel, 1, padding) and _is_large(x, kernel, **limits):
        return winograd_kernel_gradient(SAME, x, gradient)
    if _has_few_outputs(kernel, 1, padding):
        return _few_channels_kernel_gradient(x, gradient, kernel.shape[0])
    by_kernel = functools.partial(_by_xla, x, stride=1, padding=padding)
    return jax.vjp(by_kernel, kernel)[1](gradient)[0]


@jax.jit
def _upsampled_on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
    if min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS:
        return winograd(UPSAMPLED, x, kernel)
    return _on_cpu(upsample_nearest(x, 2), kernel, stride=1, padding=1)


@jax.jit
def _upsampled_gradients_on_cpu(x: jax.Array, kernel: jax.Array, gradient: jax.Array):
    gradient = materialize(gradient)
    if min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS:
        input_gradient = winograd_input_gradient(UPSAMPLED, kernel, gradient)
        return input_gradient, winograd_kernel_gradient(UPSAMPLED, x, gradient)
    large, shrink = jax.vjp(lambda x: upsample_nearest(x, 2), x)
    large_gradient, kernel_gradient = _gradients_on_cpu(large, kernel, gradient, stride=1, padding=1)
    return shrink(large_gradient)[0], kernel_gradient


def _suits_winograd(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> bool:
    return _allows_winograd(x, kernel, stride, padding) and _is_large(
        x, kernel, channels=_WINOGRAD_CHANNELS, numbers=_WINOGRAD_NUMBERS
    )


def _allows_winograd(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> bool:
    is_plain = kernel.shape[:2] == (3, 3) and stride == padding == 1
    divides = all(size % SAME.tile == 0 for size in x.shape[1:3])
    return is_plain and divides and jnp.finfo(x.dtype).bits >= 32


def _is_large(x: jax.Array, kernel: jax.Array, *, channels: int, numbers: int) -> bool:
    fewest = min(kernel.shape[2:])
    return fewest >= channels and x.shape[1] * x.shape[2] * fewest >= numbers


def _has_few_outputs(kernel: jax.Array, stride: int, padding: int) -> bool:
    """To few channels, keeping the size."""
    size, _, inputs, outputs = kernel.shape
    return stride == 1 and 2 * padding + 1 == size > 1 and outputs <= _FEW_CHANNELS < inputs


def _is_small(x: jax.Array, kernel: jax.Array, padding: int) -> bool:
    return kernel.shape[0] > 1 and padding > 0 and x.shape[1] * x.shape[2] <= _FEW_PIXELS


def _by_patches(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """One matrix product of the pixels under the kernel with the kernel."""
    size, _, inputs, outputs = kernel.shape
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((length - size) // stride + 1 for length in padded.shape[1:3])
    patches = jnp.concatenate(
        [
            padded[:, i : i + stride * height : stride, j : j + stride * width : stride][:, :height, :width]
            for i in range(size)
            for j in range(size)
        ],
        axis=-1,
    )
    return (patches.reshape(-1, size * size * inputs) @ kernel.reshape(-1, outputs)).reshape(-1, height, width, outputs)


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
