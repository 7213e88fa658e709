"""Closed-form algebra of 2x2 matrices [..., 2, 2], element by element.

No call to a matrix product or solver: those would run in the device's reduced precision and cost
more than they do work. Leading axes broadcast.
"""

import jax
import jax.numpy as jnp


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
