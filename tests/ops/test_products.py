"""Products over rows against the plain formula, and their form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.products import product_over_rows


def draw(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("num_rows", [5, 300])
@pytest.mark.parametrize("columns", [(4, 7), (7, 4), (4, 4), (1, 3)])
def test_values(batch, num_rows, columns, dtype):
    left, right = (draw(*batch, num_rows, size, dtype=dtype, seed=size) for size in columns)
    actual, expected = jax.jit(product_over_rows)(left, right), left.swapaxes(-1, -2) @ right
    assert actual.shape == expected.shape and actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, atol=1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("columns", [(4, 7), (7, 4)])
def test_many_rows_of_the_narrower_matrix_are_transposed_first(columns):
    arguments = [jax.ShapeDtypeStruct((300, size), np.float32) for size in columns]
    text = jax.jit(product_over_rows).lower(*arguments).as_text()
    assert "contracting_dims = [1] x [0]" in text and "tensor<4x300xf32>, tensor<300x7xf32>" in text
    few = [jax.ShapeDtypeStruct((30, size), np.float32) for size in columns]
    assert "contracting_dims = [0] x [0]" in jax.jit(product_over_rows).lower(*few).as_text()
