import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motion_transformer_jax.ops import affine

entries = st.floats(-2, 2, width=32, allow_subnormal=False)
matrices = hnp.arrays(np.float32, (4, 2, 2), elements=entries)
# Diagonally dominant, so that inverting loses few digits.
invertible = matrices.map(lambda m: m + np.float32(5) * np.eye(2, dtype=np.float32))
vectors = hnp.arrays(np.float32, (4, 2), elements=entries)
quick = settings(max_examples=25, deadline=None)


@quick
@given(matrices)
def test_determinant(m):
    np.testing.assert_allclose(affine.determinant(m), np.linalg.det(m), atol=1e-5)


@quick
@given(invertible)
def test_inverse(m):
    np.testing.assert_allclose(affine.inverse(m), np.linalg.inv(m), atol=1e-6)
    np.testing.assert_allclose(affine.inverse(affine.inverse(m)), m, atol=2e-5)
    identity = np.broadcast_to(np.eye(2), m.shape)
    np.testing.assert_allclose(affine.compose(m, affine.inverse(m)), identity, atol=2e-6)
    np.testing.assert_allclose(affine.compose(affine.inverse(m), m), identity, atol=2e-6)


@quick
@given(matrices, matrices, vectors)
def test_compose_applies_the_second_first(a, b, v):
    np.testing.assert_allclose(affine.compose(a, b), a @ b, atol=1e-5)
    np.testing.assert_allclose(affine.transform(a, v), (a @ v[..., None])[..., 0], atol=1e-5)
    np.testing.assert_allclose(
        affine.transform(affine.compose(a, b), v),
        affine.transform(a, affine.transform(b, v)),
        atol=2e-4,
    )


def test_leading_axes_broadcast(dtype):
    rng = np.random.default_rng(0)
    matrix = jnp.asarray(rng.normal(size=(2, 3, 1, 1, 2, 2)), dtype)
    vectors = jnp.asarray(rng.normal(size=(1, 1, 4, 5, 2)), dtype)
    result = affine.transform(matrix, vectors)
    assert result.shape == (2, 3, 4, 5, 2)
    assert result.dtype == dtype
    np.testing.assert_allclose(result[1, 2, 3, 4], matrix[1, 2, 0, 0] @ vectors[0, 0, 3, 4], atol=1e-6)
    assert affine.inverse(matrix).dtype == dtype


def test_inverse_of_a_singular_matrix_is_not_finite():
    assert not jnp.any(jnp.isfinite(affine.inverse(jnp.ones((2, 2)))))
