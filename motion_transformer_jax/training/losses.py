"""The losses: named arrays in, unweighted scalars out.

Everything here is computed in float32 or better, whatever type comes in. Weights come from the
config and are applied where the losses are summed, in the training step. The sums and means are
those of the official code, so that its loss weights keep their meaning; FOMM's paper has the
perceptual and equivariance losses in section 3.3, the mask losses are Motion Transformer's.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.coordinates import coordinate_grid
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.reduction import sum_pixels


def feature_distance(
    prediction_features: Sequence[Sequence[jax.Array]],
    driving_features: Sequence[Sequence[jax.Array]],
    tap_weights: Sequence[float],
) -> jax.Array:
    """Predicted and driving frames must look alike to a network, at each of several scales.

    The perceptual loss (a VGG's features) and feature matching (a discriminator's) alike: the sum over
    scales and taps of tap weight times mean absolute difference of the features. The driving frame's
    features are constants: no gradient flows into them.

    Args:
      prediction_features: for each scale, the features [B, h, w, C] at each tap of the network, from
        the predicted frame.
      driving_features: the same from the driving frame.
      tap_weights: one weight per tap, the same at all scales.

    Returns:
      Scalar, 0 or more.

    Raises:
      ValueError: if numbers of scales or taps, or shapes, differ.
    """
    total = jnp.zeros((), jnp.float32)
    for predicted, real in zip(prediction_features, driving_features, strict=True):
        for weight, a, b in zip(tap_weights, predicted, real, strict=True):
            total += weight * _mean_absolute_difference(a, lax.stop_gradient(b))
    return total


def equivariance_keypoints(driving_keypoints: jax.Array, warped_keypoints: jax.Array) -> jax.Array:
    """Keypoints must follow a known warp of the frame.

    Args:
      driving_keypoints: [B, K, 2], of the driving frame.
      warped_keypoints: [B, K, 2], of the transformed driving frame, carried back by the warp.

    Returns:
      Scalar: mean absolute difference over all coordinates.

    Raises:
      ValueError: if the shapes differ.
    """
    return _mean_absolute_difference(driving_keypoints, warped_keypoints)


def equivariance_affine(
    driving_affine: jax.Array, warped_affine: jax.Array, *, revert_axis_swap: bool = False
) -> jax.Array:
    """Affines must follow a known warp of the frame.

    The product of the inverse of the one with the other is held against the identity, which does
    not let the affines shrink to zero as a plain difference would.

    Args:
      driving_affine: [B, K, 2, 2], of the driving frame.
      warped_affine: [B, K, 2, 2]: the warp's Jacobian at the transformed frame's keypoints times
        the affines of the transformed frame.
      revert_axis_swap: compare up to the sign of each affine, which principal axes leave open (MRAA).

    Returns:
      Scalar: mean of |I - inverse(driving_affine) warped_affine| over all entries.

    Raises:
      ValueError: if the shapes differ.
    """
    _require_same_shape(driving_affine, warped_affine)
    product = affine.compose(affine.inverse(_at_least_float32(driving_affine)), _at_least_float32(warped_affine))
    if revert_axis_swap:
        product = affine.agree_in_sign(product)
    return jnp.mean(jnp.abs(jnp.eye(2, dtype=product.dtype) - product))


def keypoint_separation(keypoints: jax.Array, *, radius: float) -> jax.Array:
    """Keypoints must keep apart, or all tell of the same place.

    Not in the official code; after the separation of landmarks of Zhang et al. (CVPR 2018, section 3.2).

    Args:
      keypoints: [B, K, 2], K at least 2.
      radius: in [-1, 1] units; a pair at this distance counts exp(-1/2), a coincident one 1.

    Returns:
      Scalar in [0, 1]: mean over the batch and all pairs.
    """
    keypoints = _at_least_float32(keypoints)
    count = keypoints.shape[1]
    squared = jnp.sum((keypoints[:, :, None] - keypoints[:, None]) ** 2, axis=-1)
    # A keypoint beside itself counts 1, for each of them.
    return (jnp.mean(jnp.exp(-squared / (2 * radius**2))) * count - 1) / (count - 1)


def background_mask(mask: jax.Array, *, num_keypoints: int, has_background: bool) -> jax.Array:
    """Pull the background's mask to 1 and those of the keypoints to 0.

    Without a background predictor the first keypoint's motion may serve as a second background:
    masks 0 and 1 then count together as background.

    Args:
      mask: [B, h, w, K + 1], a softmax over the last axis; 0 = background.
      num_keypoints: K.
      has_background: whether the model has a background predictor.

    Returns:
      Scalar: mean |background - 1| + (10 / K) mean |foreground|.

    Raises:
      ValueError: if the mask has not K + 1 channels, or none is left for the foreground.
    """
    if mask.shape[-1] != num_keypoints + 1:
        raise ValueError(f"mask has {mask.shape[-1]} channels; expected {num_keypoints} + 1")
    first = 1 if has_background else 2
    if num_keypoints < first:
        raise ValueError(f"num_keypoints is {num_keypoints}; expected at least {first}")
    mask = _at_least_float32(mask)
    background, foreground = jnp.sum(mask[..., :first], axis=-1), mask[..., first:]
    foreground_weight = 10.0 / num_keypoints
    return jnp.mean(jnp.abs(background - 1)) + foreground_weight * jnp.mean(jnp.abs(foreground))


def mask_concentration(mask: jax.Array) -> jax.Array:
    """Pull each keypoint's mask together: its variance about its own centroid.

    Args:
      mask: [B, h, w, K + 1], not negative; 0 = background, which is left out.

    Returns:
      Scalar: squared distance to the centroid under each mask normalised to a sum of 1, in squared
      units of [-1, 1]; summed over the K masks, averaged over the batch.
    """
    foreground = _at_least_float32(mask)[..., 1:]
    foreground /= jnp.sum(foreground, axis=(1, 2), keepdims=True) + 1e-8
    grid = coordinate_grid(*mask.shape[1:3], foreground.dtype)[None, :, :, None, :]
    centroid = jnp.sum(foreground[..., None] * grid, axis=(1, 2), keepdims=True)
    squared_distance = jnp.sum((grid - centroid) ** 2, axis=-1)
    return jnp.mean(jnp.sum(squared_distance * foreground, axis=(1, 2, 3)))


def disentangled_keypoints(driving_keypoints: jax.Array, disentangled_keypoints: jax.Array) -> jax.Array:
    """The disentangler must undo a stretch of the driving pose: its keypoints (MRAA).

    Args:
      driving_keypoints: [B, K, 2], of the driving frame.
      disentangled_keypoints: [B, K, 2], what the disentangler made of the source and the stretched driving motion.

    Returns:
      Scalar: mean absolute difference over all coordinates.

    Raises:
      ValueError: if the shapes differ.
    """
    return _mean_absolute_difference(driving_keypoints, disentangled_keypoints)


def disentangled_affine(driving_affine: jax.Array, disentangled_affine: jax.Array) -> jax.Array:
    """The disentangler must undo a stretch of the driving pose: its affines (MRAA).

    Args:
      driving_affine: [B, K, 2, 2], of the driving frame.
      disentangled_affine: [B, K, 2, 2], what the disentangler made of the source and the stretched driving motion.

    Returns:
      Scalar: mean absolute difference over all entries.

    Raises:
      ValueError: if the shapes differ.
    """
    return _mean_absolute_difference(driving_affine, disentangled_affine)


def adversarial(generated_scores: Sequence[jax.Array]) -> jax.Array:
    """Generated frames must score as real ones: least squares (FOMM's adversarial configuration).

    Args:
      generated_scores: for each scale of the discriminator, scores [B, h, w, 1]; 1 stands for real.

    Returns:
      Scalar: sum over scales of mean (1 - score)^2.
    """
    return sum(jnp.mean((1 - _at_least_float32(scores)) ** 2) for scores in generated_scores)


def discriminator(real_scores: Sequence[jax.Array], generated_scores: Sequence[jax.Array]) -> jax.Array:
    """The discriminator's own loss: real frames score 1, generated ones 0.

    Args:
      real_scores: for each scale, scores [B, h, w, 1] of driving frames.
      generated_scores: the same of predicted frames.

    Returns:
      Scalar: sum over scales of mean ((1 - real)^2 + generated^2).

    Raises:
      ValueError: if numbers of scales or shapes differ.
    """
    total = jnp.zeros((), jnp.float32)
    for real, generated in zip(real_scores, generated_scores, strict=True):
        _require_same_shape(real, generated)
        total += jnp.mean((1 - _at_least_float32(real)) ** 2 + _at_least_float32(generated) ** 2)
    return total


@jax.custom_vjp
def _mean_absolute_difference(a: jax.Array, b: jax.Array) -> jax.Array:
    _require_same_shape(a, b)
    difference = _difference(a, b)
    return jnp.sum(sum_pixels(jnp.abs(difference))) / difference.size


def _forward(a: jax.Array, b: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    signs = materialize(jnp.sign(_difference(a, b)).astype(jnp.int8))
    # Of a and b only the types are needed. Where a difference is NaN its sign means nothing, but the loss is NaN too.
    return _mean_absolute_difference(a, b), (a, b, signs)


def _backward(saved: tuple[jax.Array, ...], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    a, b, signs = saved
    by_difference = gradient / signs.size * signs
    return by_difference.astype(a.dtype), -by_difference.astype(b.dtype)


_mean_absolute_difference.defvjp(_forward, _backward)


def _difference(a: jax.Array, b: jax.Array) -> jax.Array:
    return _at_least_float32(a) - _at_least_float32(b)


def _require_same_shape(a: jax.Array, b: jax.Array) -> None:
    """A loss that broadcasts by accident still trains, and badly."""
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")


def _at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
