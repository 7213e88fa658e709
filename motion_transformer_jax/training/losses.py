"""The losses: named arrays in, unweighted float scalars out. Weights and sums live in `step.py`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.coordinates import coordinate_grid


def perceptual(
    prediction: Sequence[Sequence[jax.Array]], driving: Sequence[Sequence[jax.Array]], *, tap_weights: Sequence[float]
) -> jax.Array:
    """Distance of feature pyramids (FOMM, section 3.3): a weighted sum of mean absolute differences.

    Args:
        prediction: for every scale, the network's taps [B, H, W, C].
        driving: the same of the real frame; no gradient flows into it.
        tap_weights: one weight for each tap; the sum over scales is unweighted.
    """
    total = 0.0
    for predicted_taps, real_taps in zip(prediction, driving, strict=True):
        for weight, predicted, real in zip(tap_weights, predicted_taps, real_taps, strict=True):
            total += weight * _mean_absolute(predicted - jax.lax.stop_gradient(real))
    return total


def equivariance_keypoints(driving: jax.Array, mapped: jax.Array) -> jax.Array:
    """Keypoints of the driving frame against those of its warped copy, mapped back; both [B, K, 2]."""
    return _mean_absolute(driving - mapped)


def equivariance_affine(driving: jax.Array, mapped: jax.Array) -> jax.Array:
    """|I - inverse(driving) mapped|: the same for affines, both [B, K, 2, 2] (FOMM, equation 10)."""
    product = affine.compose(affine.inverse(driving), mapped)
    return _mean_absolute(jnp.eye(2, dtype=product.dtype) - product)


def background_mask(mask: jax.Array, *, has_background: bool) -> jax.Array:
    """Pulls the background's mask to 1 and the keypoints' to 0; mask [B, h, w, K + 1], index 0 = background.

    Without a background predictor the first keypoint's mask counts as background too, as in the official code.
    """
    num_background = 1 if has_background else 2
    background = jnp.sum(mask[..., :num_background], axis=-1)
    foreground = mask[..., num_background:]
    num_keypoints = mask.shape[-1] - 1
    return _mean_absolute(1 - background) + 10 / num_keypoints * _mean_absolute(foreground)


def mask_concentration(mask: jax.Array) -> jax.Array:
    """Spatial variance of every keypoint's mask, summed over keypoints, mean over the batch; mask [B, h, w, K + 1]."""
    foreground = mask[..., 1:]
    density = foreground / (jnp.sum(foreground, axis=(1, 2), keepdims=True) + 1e-8)
    grid = coordinate_grid(*mask.shape[1:3], density.dtype)
    centroid = jnp.einsum("bhwk,hwc->bkc", density, grid, precision="highest")
    # A sum of squares, not a squared norm: a norm has no gradient at 0.
    distance = jnp.sum(jnp.square(grid[None, :, :, None] - centroid[:, None, None]), axis=-1)
    return jnp.sum(distance * density) / mask.shape[0]


def _mean_absolute(difference: jax.Array) -> jax.Array:
    return jnp.mean(jnp.abs(difference.astype(jnp.promote_types(difference.dtype, jnp.float32))))
