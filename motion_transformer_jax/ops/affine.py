"""Closed-form algebra of 2x2 matrices [..., 2, 2], element by element.

No call to a matrix product or solver: those would run in the device's reduced precision and cost
more than they do work. Leading axes broadcast.
"""

import jax
import jax.numpy as jnp

# In squared units of [-1, 1]: far below a pixel, far above what float32 can no longer invert.
LEAST_VARIANCE = 1e-9


def determinant(matrix: jax.Array) -> jax.Array:
    """Determinant of each matrix: [..., 2, 2] -> [...]."""
    return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]


def inverse(matrix: jax.Array) -> jax.Array:
    """Inverse of each matrix [..., 2, 2]; infinite or NaN entries where it is singular."""
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    c, d = matrix[..., 1, 0], matrix[..., 1, 1]
    adjugate = jnp.stack([jnp.stack([d, -b], axis=-1), jnp.stack([-c, a], axis=-1)], axis=-2)
    return adjugate / determinant(matrix)[..., None, None]


def compose(first: jax.Array, second: jax.Array) -> jax.Array:
    """Matrix product `first @ second`, [..., 2, 2] each: applies `second`, then `first`."""
    return jnp.sum(first[..., :, :, None] * second[..., None, :, :], axis=-2)


def transform(matrix: jax.Array, vectors: jax.Array) -> jax.Array:
    """Matrix times column vector: [..., 2, 2] and [..., 2] (`(x, y)`) -> [..., 2]."""
    return jnp.sum(matrix * vectors[..., None, :], axis=-1)


def transpose(matrix: jax.Array) -> jax.Array:
    """Transpose of each matrix [..., 2, 2]."""
    return jnp.swapaxes(matrix, -1, -2)


def agree_in_sign(matrix: jax.Array) -> jax.Array:
    """Each matrix [..., 2, 2] or its negative, whichever has a positive first entry (zero where that entry is 0).

    Principal axes leave the sign of an affine open; a product of two of them is made comparable by this (MRAA).
    """
    return matrix * jnp.sign(matrix[..., :1, :1])


def principal_axes(covariance: jax.Array) -> jax.Array:
    """The affine whose columns are a covariance's principal axes, each as long as its standard deviation.

    A square root of the covariance: `compose(affine, transpose(affine)) == covariance`; the longer axis comes first.
    Signs of the axes are those of LAPACK's SVD, with which the official weights were trained (MRAA, "PCA-based motion
    estimation").

    Gradients are finite everywhere. Where the two deviations are equal the axes have no derivative: there it is 0, and
    it is faded out where they differ by less than 0.01 %. A variance below `LEAST_VARIANCE` is taken for that.

    Args:
      covariance: symmetric and positive semi-definite, [..., 2, 2].

    Returns:
      [..., 2, 2], never singular.
    """
    a, b, c = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    mean = (a + c) / 2
    gap, angle = _polar((a - c) / 2, b, jax.lax.stop_gradient(1e-4 * mean + LEAST_VARIANCE))
    long, short = (jnp.sqrt(jnp.maximum(variance, LEAST_VARIANCE)) for variance in (mean + gap, mean - gap))
    # LAPACK's sign follows from its Householder step and from the order in which it rotates what remains.
    sign = jnp.where((b > 0) & (a * c - b * b > a * a + b * b), 1, -1)
    x, y = sign * jnp.cos(angle), sign * jnp.sin(angle)
    return jnp.stack([jnp.stack([x * long, y * short], axis=-1), jnp.stack([y * long, -x * short], axis=-1)], axis=-2)


@jax.custom_jvp
def _polar(u: jax.Array, v: jax.Array, least: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Length of (u, v) and half its angle in (-pi/2, pi/2]; the derivative is that of a length of `least` or more."""
    return jnp.hypot(u, v), 0.5 * jnp.arctan2(v, u)


@_polar.defjvp
def _polar_jvp(primals, tangents):
    (u, v, least), (du, dv, _) = primals, tangents
    length, angle = _polar(u, v, least)
    safe = jnp.maximum(length, least)
    return (length, angle), ((u * du + v * dv) / safe, 0.5 * (u * dv - v * du) / safe**2)
