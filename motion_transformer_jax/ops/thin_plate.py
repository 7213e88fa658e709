"""Random thin-plate-spline warps: the known transformation of the equivariance losses.

A warp sends a point p to A p + t + sum_c w_c phi(|p - c|_1), phi(r) = r^2 log(r + 1e-6), with a
small random affine [A | t] and one small random weight for each point c of a regular grid (FOMM,
section 3.3). As in the official code, the distance is the L1 norm and one scalar moves x and y
alike.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops import coordinates, grid_sample

EPSILON = 1e-6


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ThinPlate:
    """One warp per batch element.

    Attributes:
      theta: [B, 2, 3], the affine part [A | t].
      weights: [B, P * P], one weight per control point; P = 0 leaves the affine part alone.
    """

    theta: jax.Array
    weights: jax.Array

    @property
    def control_points(self) -> jax.Array:
        """[P * P, 2]: the regular grid that the weights belong to, row by row."""
        side = math.isqrt(self.weights.shape[-1])
        return coordinates.coordinate_grid(side, side, self.weights.dtype).reshape(-1, 2)


def sample_thin_plate(key: jax.Array, batch: int, *, sigma_affine: float, sigma_tps: float, points: int) -> ThinPlate:
    """Draw one random warp per batch element.

    Args:
      key: random key.
      batch: number of warps, B.
      sigma_affine: standard deviation of the six affine entries about the identity.
      sigma_tps: standard deviation of the weights.
      points: control points along each side, P.

    Returns:
      B warps in JAX's default floating type.
    """
    affine_key, weights_key = jax.random.split(key)
    noise = jax.random.normal(affine_key, (batch, 2, 3))
    theta = jnp.eye(2, 3, dtype=noise.dtype) + sigma_affine * noise
    return ThinPlate(theta, sigma_tps * jax.random.normal(weights_key, (batch, points * points)))


def warp_points(t: ThinPlate, points: jax.Array) -> jax.Array:
    """Warp points `(x, y)` [B, N, 2], or [1, N, 2] for the same points in all B -> [B, N, 2]."""
    _, distances = _offsets(t, points)
    radial = jnp.sum(distances**2 * jnp.log(distances + EPSILON) * t.weights[:, None, :], axis=-1)
    linear = jnp.sum(t.theta[:, None, :, :2] * points[:, :, None, :], axis=-1)
    return linear + t.theta[:, None, :, 2] + radial[..., None]


def warp_jacobian(t: ThinPlate, points: jax.Array) -> jax.Array:
    """Derivative of `warp_points` at points [B, N, 2] -> [B, N, 2, 2]: [i, j] = d out_i / d in_j.

    In closed form, and itself differentiable with respect to the points. Where a point shares a
    coordinate with a control point, |.| counts as flat there.
    """
    offsets, distances = _offsets(t, points)
    slope = 2 * distances * jnp.log(distances + EPSILON) + distances**2 / (distances + EPSILON)
    gradient = jnp.sum((slope * t.weights[:, None, :])[..., None] * jnp.sign(offsets), axis=-2)
    return t.theta[:, None, :, :2] + gradient[..., None, :]


def warp_image(t: ThinPlate, image: jax.Array, *, align_corners: bool) -> jax.Array:
    """Warp images [B, H, W, C], mirrored beyond the border: pixel z shows `image` at warped z.

    `align_corners` says where [-1, 1] lies in sampling; the official code has False.
    """
    batch, height, width, _ = image.shape
    grid = coordinates.coordinate_grid(height, width, t.theta.dtype).reshape(1, -1, 2)
    warped = warp_points(t, grid).reshape(batch, height, width, 2)
    return grid_sample.grid_sample(image, warped, padding_mode="reflection", align_corners=align_corners)


def _offsets(t: ThinPlate, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points minus control points, [., N, P * P, 2], and the L1 norms of these, [., N, P * P]."""
    offsets = points[:, :, None, :] - t.control_points
    return offsets, jnp.sum(jnp.abs(offsets), axis=-1)
