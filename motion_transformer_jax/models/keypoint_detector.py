"""FOMM's motion estimator: heat maps of an hourglass, affines weighted by them (FOMM, section 3.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import Hourglass, Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops.coordinates import expected_points, softmax_heatmaps
from motion_transformer_jax.ops.resize import antialias_downsample


class KeypointDetector(nn.Module):
    """Keypoints as the mean points of heat maps, affines as their means over the same heat maps.

    Attributes:
        num_keypoints: K.
        scale: the detector's image as a share of the model's.
        temperature: of the softmax over each heat map.
        padding: of the two heads' 7×7 convolutions; 0 leaves heat maps 6 pixels smaller.
        shared_affine: one map of affines for all keypoints instead of one each.

    The other attributes are `Hourglass`'s.
    """

    num_keypoints: int
    base_features: int
    max_features: int
    num_blocks: int
    scale: float
    temperature: float
    padding: int
    shared_affine: bool
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array) -> Motion:
        """Image [B, H, W, 3] in [0, 1] to its motion; `scale` × H and W are divisible by 2**num_blocks."""
        features, heatmap = predict_heatmaps(self, image, head="keypoints")
        num_maps = 1 if self.shared_affine else self.num_keypoints
        affine = AffineMap(num_maps, self.padding, self.layers, name="affine")(features, heatmap)
        return Motion(expected_points(heatmap), affine)


def predict_heatmaps(detector: nn.Module, image: jax.Array, *, head: str) -> tuple[jax.Array, jax.Array]:
    """The part that FOMM's and MRAA's estimators share; to be called inside their compact method.

    Args:
        detector: has the attributes of `KeypointDetector` up to `padding`, and `layers`.
        image: [B, H, W, 3] in [0, 1].
        head: name of the convolution that gives the heat maps.

    Returns:
        The hourglass's features [B, h, w, C] and heat maps [B, h', w', K], each of sum 1.
    """
    image = antialias_downsample(image, detector.scale, rounding="ceil")
    sizes = (detector.base_features, detector.max_features, detector.num_blocks)
    features = Hourglass(*sizes, detector.layers, name="hourglass")(image)
    logits = detector.layers.conv(detector.num_keypoints, 7, padding=detector.padding, name=head)(features)
    return features, softmax_heatmaps(logits, detector.temperature)


class AffineMap(nn.Module):
    """Regresses affines: maps of 2×2 matrices, averaged over heat maps. They start as the identity.

    Attributes:
        num_maps: 1, shared by all heat maps, or one for each.
    """

    num_maps: int
    padding: int
    layers: Layers

    @nn.compact
    def __call__(self, features: jax.Array, heatmap: jax.Array) -> jax.Array:
        """Features [B, H, W, C] and heat maps [B, h, w, K], each of sum 1, to affines [B, K, 2, 2]."""
        maps = nn.Conv(
            4 * self.num_maps,
            (7, 7),
            padding=self.padding,
            dtype=self.layers.dtype,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda _, shape, dtype: jnp.tile(jnp.asarray([1, 0, 0, 1], dtype), shape[0] // 4),
            name="conv",
        )(features)
        maps = maps.astype(heatmap.dtype).reshape(*maps.shape[:3], self.num_maps, 4)
        affine = jnp.sum(heatmap[..., None] * maps, axis=(1, 2))
        return affine.reshape(*affine.shape[:2], 2, 2)
