"""MRAA's motion estimator: soft-max regions, each with its principal axes (MRAA, "PCA-based motion estimation")."""

import flax.linen as nn
import jax

from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.keypoint_detector import AffineMap, predict_heatmaps
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.coordinates import expected_covariance, expected_points

AFFINES = ("principal_axes", "regression")


class RegionPredictor(nn.Module):
    """A keypoint, an affine and a covariance for each region of an object.

    Attributes:
        num_keypoints: K, the number of regions.
        affine: "principal_axes" of the region's covariance, or "regression" from a map of affines, as FOMM.

    The other attributes are `KeypointDetector`'s.
    """

    num_keypoints: int
    base_features: int
    max_features: int
    num_blocks: int
    scale: float
    temperature: float
    padding: int
    affine: str
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array) -> Motion:
        """Image [B, H, W, 3] in [0, 1] to its motion; `scale` × H and W are divisible by 2**num_blocks."""
        features, heatmap = predict_heatmaps(self, image, head="regions")
        center = expected_points(heatmap)
        if self.affine == "principal_axes":
            matrix = affine.principal_axes(expected_covariance(heatmap, center))
        else:
            matrix = AffineMap(1, self.padding, self.layers, name="affine")(features, heatmap)
        return Motion(center, matrix, affine.compose(matrix, affine.transpose(matrix)))
