"""Matrix products in the form that XLA's CPU backend computes fastest."""

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.fusion import apart

_FEW_ROWS = 256  # below, transposing takes longer than it saves


def product_over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """left^T right, for CPU: where there are many rows, the matrix with fewer columns is transposed first, by a loop.

    XLA's products take up to twice as long where both factors are summed over their first dimension.

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
