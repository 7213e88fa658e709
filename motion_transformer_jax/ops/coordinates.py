"""Pixel grids, keypoint heatmaps and homogeneous coordinates.

The coordinate convention of the whole project, stated here and nowhere else:

- A point is `(x, y)`, in that order, in the last axis: x to the right, y down, both in [-1, 1]
  inside the image. Arrays of images and maps are `[B, H, W, C]`, so a point's x runs along axis 2
  and its y along axis 1.
- Pixel grids (`coordinate_grid`), and with them keypoints, motions and deformations, put -1 and 1
  at the *centres* of the first and the last pixel.
- The models sample images with `grid_sample(..., align_corners=False)`, which puts -1 and 1 at the
  outer *edges* of the first and the last pixel. The two differ: warping by an unchanged grid
  shrinks the image by one pixel in all. The official code mixes them in this way and the published
  weights were trained with the mix, so it stays the default. A model of one's own may choose
  `model.align_corners = True`: sampling then puts -1 and 1 at centres too, and an unmoved image stays
  as it is.
- A deformation maps the driving frame to the source (a backward warp): at a driving pixel it holds
  the point of the source image that is shown there.
- An affine is a 2x2 matrix that multiplies a column `(x, y)`:
  `affine[..., i, j]` = d out_i / d in_j.
"""

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops import affine


def coordinate_grid(height: int, width: int, dtype=jnp.float32) -> jax.Array:
    """The `(x, y)` of every pixel centre, -1 and 1 at the centres of the corner pixels.

    Args:
      height: number of rows; a single row lies at y = 0.
      width: number of columns; a single column lies at x = 0.
      dtype: floating type of the result.

    Returns:
      [height, width, 2] in [-1, 1].
    """
    x = jnp.broadcast_to(_axis(width, dtype)[None, :], (height, width))
    y = jnp.broadcast_to(_axis(height, dtype)[:, None], (height, width))
    return jnp.stack([x, y], axis=-1)


def _axis(size: int, dtype) -> jax.Array:
    if size == 1:
        return jnp.zeros((1,), dtype)
    return 2 * (jnp.arange(size, dtype=dtype) / (size - 1)) - 1


def gaussian_heatmaps(keypoints: jax.Array, height: int, width: int, *, variance: float) -> jax.Array:
    """One isotropic Gaussian per keypoint, 1 at its centre (not normalised to a sum of 1).

    Args:
      keypoints: [..., K, 2], `(x, y)` in [-1, 1].
      height: rows of the maps.
      width: columns of the maps.
      variance: of each coordinate, in squared units of [-1, 1].

    Returns:
      [..., height, width, K] in [0, 1], exp(-|z - keypoint|^2 / (2 variance)) at pixel centre z.
    """
    grid = coordinate_grid(height, width, keypoints.dtype)
    leading = (1,) * (keypoints.ndim - 2)
    offsets = grid.reshape(*leading, height, width, 1, 2) - keypoints[..., None, None, :, :]
    return jnp.exp(-0.5 * jnp.sum(offsets**2, axis=-1) / variance)


def covariance_heatmaps(keypoints: jax.Array, covariance: jax.Array, height: int, width: int) -> jax.Array:
    """One Gaussian per keypoint with a covariance of its own, 1 at its centre.

    Args:
      keypoints: [..., K, 2], `(x, y)` in [-1, 1].
      covariance: [..., K, 2, 2], invertible, in squared units of [-1, 1].
      height: rows of the maps.
      width: columns of the maps.

    Returns:
      [..., height, width, K] in [0, 1].
    """
    grid = coordinate_grid(height, width, keypoints.dtype)
    leading = (1,) * (keypoints.ndim - 2)
    offsets = grid.reshape(*leading, height, width, 1, 2) - keypoints[..., None, None, :, :]
    scaled = affine.transform(affine.inverse(covariance)[..., None, None, :, :, :], offsets)
    return jnp.exp(-0.5 * jnp.sum(offsets * scaled, axis=-1))


def softmax_heatmaps(logits: jax.Array, temperature: float) -> jax.Array:
    """Softmax of each map over its pixels, in float32 or better: [B, H, W, K] to the same shape, each map of sum 1."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.nn.softmax(logits / temperature, axis=(1, 2))


def expected_points(heatmap: jax.Array) -> jax.Array:
    """Mean point of each map [B, H, W, K] of sum 1: [B, K, 2] as `(x, y)`."""
    grid = coordinate_grid(*heatmap.shape[1:3], heatmap.dtype)
    return jnp.sum(heatmap[..., None] * grid[None, :, :, None], axis=(1, 2))


def expected_covariance(heatmap: jax.Array, points: jax.Array) -> jax.Array:
    """Covariance [B, K, 2, 2] of each map [B, H, W, K] of sum 1 about its mean point [B, K, 2]."""
    offsets = coordinate_grid(*heatmap.shape[1:3], heatmap.dtype)[None, :, :, None] - points[:, None, None]
    return jnp.einsum("bhwk,bhwki,bhwkj->bkij", heatmap, offsets, offsets, precision="highest")


def to_homogeneous(points: jax.Array) -> jax.Array:
    """Append a third coordinate of 1: [..., 2] -> [..., 3]."""
    return jnp.concatenate([points, jnp.ones_like(points[..., :1])], axis=-1)


def from_homogeneous(points: jax.Array) -> jax.Array:
    """Divide by the third coordinate and drop it: [..., 3] -> [..., 2]; not finite if it is 0."""
    return points[..., :2] / points[..., 2:]
