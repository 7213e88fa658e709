"""How near a reconstructed frame is to the true one: L1, PSNR and SSIM, per frame, on the device.

A figure over many frames is the mean of theirs, as the official code has it for L1: every frame counts alike, whatever
video it is from.
"""

import jax
import jax.numpy as jnp

SSIM_RADIUS = 5  # of the Gaussian window, pixels: 11 x 11
SSIM_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def frame_metrics(prediction: jax.Array, truth: jax.Array) -> dict[str, jax.Array]:
    """All of them; may be called inside a jitted step.

    Args:
        prediction, truth: [B, H, W, 3] in [0, 1], float32.

    Returns:
        "l1", "psnr" and "ssim", each [B].

    Raises:
        ValueError: the shapes differ, or frames are smaller than SSIM's window.
    """
    if prediction.shape != truth.shape or prediction.ndim != 4:
        raise ValueError(f"expected two arrays [B, H, W, 3], got {prediction.shape} and {truth.shape}")
    return {"l1": l1(prediction, truth), "psnr": psnr(prediction, truth), "ssim": ssim(prediction, truth)}


def l1(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean absolute difference over pixels and channels, [B]: the papers' L1, of images in [0, 1]."""
    return jnp.abs(prediction - truth).mean((1, 2, 3))


def psnr(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio of each frame in decibels, [B]; equal frames have infinity, which no mean survives."""
    return -10 * jnp.log10(jnp.square(prediction - truth).mean((1, 2, 3)))


def ssim(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Structural similarity (Wang et al., 2004), mean over channels and over all places where the window fits, [B].

    The window is Gaussian, the covariances are those of its weights: what scikit-image's `structural_similarity` gives
    with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1`.

    Raises:
        ValueError: frames are smaller than the window.
    """
    if min(prediction.shape[1:3]) <= 2 * SSIM_RADIUS:
        window = 2 * SSIM_RADIUS + 1
        raise ValueError(f"frames of {prediction.shape[1:3]} pixels: SSIM's window takes {window} x {window}")
    # Less a common constant, variances stay as they are and float32 keeps more of them.
    x, y = prediction - 0.5, truth - 0.5
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = _window_mean(x * x) - mean_x**2
    variance_y = _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return (luminance * structure).mean((1, 2, 3))


def _window_mean(images: jax.Array) -> jax.Array:
    """Gaussian-weighted means about every place where the window fits, [B, H - 10, W - 10, C]."""
    rows, columns = (_window_matrix(size, images.dtype) for size in images.shape[1:3])
    # A band matrix each way: one product, which on accelerators must not be rounded to bfloat16.
    return jnp.einsum("ih,bhwc,jw->bijc", rows, images, columns, precision=jax.lax.Precision.HIGHEST)


def _window_matrix(size: int, dtype: jnp.dtype) -> jax.Array:
    """Matrix [size - 10, size] whose rows hold the window's weights, each one further right."""
    offset = jnp.arange(size) - jnp.arange(size - 2 * SSIM_RADIUS)[:, None] - SSIM_RADIUS
    weights = jnp.where(jnp.abs(offset) <= SSIM_RADIUS, jnp.exp(-0.5 * (offset / SSIM_SIGMA) ** 2), 0)
    return (weights / weights.sum(1, keepdims=True)).astype(dtype)
