"""Matrix products in the form that XLA's CPU backend computes fastest."""

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.fusion import apart

_FEW_ROWS = 256  # below, transposing takes longer than it saves


def product_over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """left^T right, for CPU: the first matrix is transposed by a loop, and is the one with fewer columns.

    XLA's products read the first factor along its last dimension, and take up to twice as long where it is the other
    that is summed over.

    Args:
      left: [..., T, C], floating.
      right: [..., T, D] of the same type.

    Returns:
      [..., C, D].
    """
    if left.shape[-2] < _FEW_ROWS:
        return jnp.einsum("...tc,...td->...cd", left, right)
    if right.shape[-1] < left.shape[-1]:
        return _transposed(product_over_rows(right, left))
    return jnp.einsum("...ct,...td->...cd", _transposed(left), right)


# Apart, or XLA would make it a part of the product again.
_transposed = apart(lambda x: x.swapaxes(-1, -2))
