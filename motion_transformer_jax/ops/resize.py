"""Resizing of images and maps [B, H, W, C] with PyTorch's choice of pixels."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def antialias_downsample(image: jax.Array, scale: float, *, rounding: str) -> jax.Array:
    """Blur with a Gaussian, zeros outside the image, and keep every (1/scale)-th pixel.

    Only the kept pixels are computed. They start at pixel 0, not in the middle of a block, and the
    Gaussian has a standard deviation of (1/scale - 1)/2 pixels: the official weights were trained
    with both.

    Args:
      image: [B, H, W, C], floating.
      scale: 1, or one over a whole number; 1 returns the image as it is.
      rounding: how a size that 1/scale does not divide is rounded: "floor" (Motion Transformer) or
        "ceil" (FOMM, MRAA).

    Returns:
      [B, h, w, C] in the image's type, h = H * scale and w = W * scale, rounded.

    Raises:
      ValueError: if the scale or the rounding is none of the above.
    """
    stride = round(1 / scale) if 0 < scale <= 1 else 0
    if stride == 0 or abs(stride * scale - 1) > 1e-6:
        raise ValueError(f"scale is {scale}; expected 1 or one over a whole number")
    if rounding not in ("floor", "ceil"):
        raise ValueError(f"rounding is {rounding!r}; expected 'floor' or 'ceil'")
    if stride == 1:
        return image
    kernel = antialias_kernel(stride)
    height, width = (size // stride if rounding == "floor" else -(-size // stride) for size in image.shape[1:3])
    # In blocks of stride x stride pixels, a kept pixel each: one product of every block with all weights that it may
    # have, then sums of neighbours' products. On CPU a strided depthwise convolution is 4 times as slow, and 10 to 400
    # times so backwards. Not two 1-D passes, because the rounded 2-D kernel is not separable to the last digit.
    blocks = _blocks(image, len(kernel), stride, height, width)
    weights = jnp.asarray(_block_weights(kernel, stride, image.shape[-1]), image.dtype)
    products = jnp.einsum("bhwp,pijc->bhwijc", blocks, weights, precision=lax.Precision.HIGHEST)
    across = range(weights.shape[1])
    return sum(products[:, i : i + height, j : j + width, i, j] for i in across for j in across)


def antialias_kernel(stride: int) -> np.ndarray:
    """The Gaussian of `antialias_downsample` for a scale of 1/stride, stride 2 or more: [k, k] of sum 1.

    It is float32, rounded as in official checkpoints, so that float64 runs agree too.
    """
    sigma = (stride - 1) / 2
    size = 2 * round(4 * sigma) + 1
    exponent = -((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2)
    profile = np.exp(exponent.astype(np.float32).astype(np.float64)).astype(np.float32)
    kernel = np.outer(profile, profile)
    return kernel / kernel.sum(dtype=np.float64).astype(np.float32)


def _block_weights(kernel: np.ndarray, stride: int, channels: int) -> np.ndarray:
    """[stride stride C, n, n, C]: weights of the numbers of a block that is block (i, j) of those under the kernel."""
    across = -(-len(kernel) // stride)
    padded = np.zeros((across * stride,) * 2, kernel.dtype)
    padded[: len(kernel), : len(kernel)] = kernel
    weights = padded.reshape(across, stride, across, stride)
    return np.einsum("irjs,cd->rscijd", weights, np.eye(channels, dtype=kernel.dtype)).reshape(
        -1, across, across, channels
    )


def _blocks(image: jax.Array, size: int, stride: int, height: int, width: int) -> jax.Array:
    """[B, h', w', stride stride C], the blocks under a kernel of `size` pixels at all kept ones, zeros outside."""
    batch, *lengths, channels = image.shape
    numbers = [kept - 1 - (-size // stride) for kept in (height, width)]
    reach = size // 2
    around = [(reach, stride * n - length - reach, 0) for n, length in zip(numbers, lengths, strict=True)]
    padded = lax.pad(image, jnp.zeros((), image.dtype), ((0, 0, 0), *around, (0, 0, 0)))
    rows, columns = numbers
    blocks = padded.reshape(batch, rows, stride, columns, stride * channels).swapaxes(2, 3)
    return blocks.reshape(batch, rows, columns, stride * stride * channels)


def resize_bilinear(x: jax.Array, height: int, width: int, *, align_corners: bool) -> jax.Array:
    """Bilinear resizing as PyTorch's `interpolate`; no blur in shrinking.

    Args:
      x: [B, H, W, C], floating.
      height: rows of the result.
      width: columns of the result.
      align_corners: True keeps the centres of the corner pixels in place; False the image's outer edges.

    Returns:
      [B, height, width, C] in the type of x; x itself where the size is unchanged.
    """
    if x.shape[1:3] == (height, width):
        return x
    rows = jnp.asarray(_bilinear_weights(x.shape[1], height, align_corners), x.dtype)
    columns = jnp.asarray(_bilinear_weights(x.shape[2], width, align_corners), x.dtype)
    precision = lax.Precision.HIGHEST
    x = jnp.einsum("hH,bHWc->bhWc", rows, x, precision=precision)
    return jnp.einsum("wW,bhWc->bhwc", columns, x, precision=precision)


def _bilinear_weights(size: int, new_size: int, align_corners: bool) -> np.ndarray:
    """[new_size, size]: the two weights of each new sample, at the old positions they apply to."""
    if align_corners:
        position = np.arange(new_size) * ((size - 1) / max(new_size - 1, 1))
    else:
        position = np.maximum((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0.0)
    first = np.minimum(position.astype(np.int64), size - 1)
    second = np.minimum(first + 1, size - 1)
    weights = np.zeros((new_size, size))
    samples = np.arange(new_size)
    weights[samples, first] += 1 - (position - first)
    weights[samples, second] += position - first
    return weights


def resize_nearest(x: jax.Array, height: int, width: int) -> jax.Array:
    """Nearest-neighbour resizing as PyTorch's `interpolate(size=...)`.

    New pixel i is old pixel floor(i * old size / new size). PyTorch given a `scale_factor` steps by
    1/scale_factor instead, which differs where the sizes do not divide.

    Args:
      x: [B, H, W, C] of any type.
      height: rows of the result.
      width: columns of the result.

    Returns:
      [B, height, width, C] in the type of x.
    """
    rows = np.arange(height) * x.shape[1] // height
    columns = np.arange(width) * x.shape[2] // width
    return x[:, rows][:, :, columns]


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Repeat every pixel `factor` times along both sides: [B, H, W, C] -> [B, fH, fW, C]."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, factor, width, factor, channels))
    return repeated.reshape(batch, height * factor, width * factor, channels)
