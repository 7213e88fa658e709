"""Dense motion: from the keypoints and affines of two frames to a flow field and an occlusion map.

Every keypoint proposes a local affine warp of the source, the background one more; a network mixes them by soft masks
(FOMM, section 3.2).
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import Hourglass, Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.coordinates import (
    coordinate_grid,
    covariance_heatmaps,
    from_homogeneous,
    gaussian_heatmaps,
    to_homogeneous,
)
from motion_transformer_jax.ops.grid_sample import grid_sample
from motion_transformer_jax.ops.resize import antialias_downsample

KEYPOINT_VARIANCE = 0.01


@flax.struct.dataclass
class DenseMotion:
    """How the driving frame's pixels look up the source frame; h and w are the flow field's size.

    Attributes:
        deformation: [B, h, w, 2] as (x, y) in [-1, 1], from driving to source (backward warp).
        occlusion: [B, h, w, 1] in [0, 1]; 1 = visible in the source.
        mask: [B, h, w, K + 1], sums to 1 over the last axis; index 0 is the background.
        mask_logits: [B, h, w, K + 1].
        sparse_motion: [B, K + 1, h, w, 2], the candidate warps.
        sparse_deformed: [B, K + 1, h, w, 3], the source warped by each.
        heatmap: [B, h, w, K + 1], driving less source Gaussians; 0 for the background.
    """

    deformation: jax.Array
    occlusion: jax.Array
    mask: jax.Array
    mask_logits: jax.Array
    sparse_motion: jax.Array
    sparse_deformed: jax.Array
    heatmap: jax.Array


def keypoint_warps(
    source: Motion, driving: Motion, height: int, width: int, *, revert_axis_swap: bool = False
) -> jax.Array:
    """Each keypoint's local affine warp from driving to source, [B, K, height, width, 2] (FOMM, equation 4)."""
    grid = coordinate_grid(height, width, source.keypoints.dtype)[None, None]
    matrix = affine.compose(source.affine, affine.inverse(driving.affine))
    if revert_axis_swap:
        matrix = affine.agree_in_sign(matrix)
    offset = grid - driving.keypoints[:, :, None, None]
    return affine.transform(matrix[:, :, None, None], offset) + source.keypoints[:, :, None, None]


def background_warp(background: jax.Array | None, batch: int, height: int, width: int, dtype) -> jax.Array:
    """The background's warp, [batch, 1, height, width, 2]: the identity, or homogeneous matrices [batch, 3, 3]."""
    grid = coordinate_grid(height, width, dtype)[None]
    if background is None:
        return jnp.broadcast_to(grid, (batch, 1, height, width, 2))
    # A sum of products, not a matrix product: coordinates keep full precision on accelerators too.
    points = jnp.sum(background[:, None, None] * to_homogeneous(grid)[..., None, :], axis=-1)
    return from_homogeneous(points)[:, None]


class DenseMotionNetwork(nn.Module):
    """Mixes the local warps into one flow field.

    Attributes:
        scale: the flow field's size as a share of the image's.
        covariance_heatmaps: show each region by its own covariance, instead of by a circle of a fixed size.
        revert_axis_swap: take each local warp with the sign that keeps the x axis' direction.
        align_corners: where [-1, 1] lies in sampling; False as in the official code, see `ops/coordinates.py`.
    """

    base_features: int
    max_features: int
    num_blocks: int
    scale: float
    covariance_heatmaps: bool
    revert_axis_swap: bool
    align_corners: bool
    layers: Layers

    @nn.compact
    def __call__(
        self, source: jax.Array, source_motion: Motion, driving_motion: Motion, background: jax.Array | None
    ) -> DenseMotion:
        """Source image [B, H, W, 3] in [0, 1], two motions, background matrices [B, 3, 3] or None.

        The source and its motion may have a batch of 1: one source for all driving motions.
        """
        source = antialias_downsample(source, self.scale, rounding="floor")
        _, h, w, channels = source.shape
        b = driving_motion.keypoints.shape[0]
        num_warps = source_motion.keypoints.shape[1] + 1
        warps = keypoint_warps(source_motion, driving_motion, h, w, revert_axis_swap=self.revert_axis_swap)
        sparse_motion = jnp.concatenate([background_warp(background, b, h, w, warps.dtype), warps], axis=1)
        # All warps of an image in one gather: the candidates stand one above the other.
        deformed = grid_sample(
            source,
            sparse_motion.reshape(b, num_warps * h, w, 2),
            padding_mode="zeros",
            align_corners=self.align_corners,
        ).reshape(b, num_warps, h, w, channels)
        heatmap = self._heatmap(driving_motion, h, w) - self._heatmap(source_motion, h, w)
        heatmap = jnp.pad(heatmap, ((0, 0), (0, 0), (0, 0), (1, 0)))

        x = jnp.concatenate([heatmap[..., None], deformed.transpose(0, 2, 3, 1, 4)], axis=-1)
        hourglass = Hourglass(self.base_features, self.max_features, self.num_blocks, self.layers, name="hourglass")
        x = hourglass(x.reshape(b, h, w, num_warps * (channels + 1)))
        wide = jnp.promote_types(x.dtype, jnp.float32)
        logits = self.layers.conv(num_warps, 7, name="mask")(x).astype(wide)
        occlusion = nn.sigmoid(self.layers.conv(1, 7, name="occlusion")(x).astype(wide))
        mask = nn.softmax(logits)
        deformation = jnp.einsum("bhwk,bkhwc->bhwc", mask, sparse_motion, precision="highest")
        return DenseMotion(deformation, occlusion, mask, logits, sparse_motion, deformed, heatmap)

    def _heatmap(self, motion: Motion, h: int, w: int) -> jax.Array:
        if self.covariance_heatmaps:
            return covariance_heatmaps(motion.keypoints, motion.covariance, h, w)
        return gaussian_heatmaps(motion.keypoints, h, w, variance=KEYPOINT_VARIANCE)
