import jax
import jax.numpy as jnp
import jax.test_util
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


# Covariances of matrices that are not nearly singular, without the exact ties of their diagonal.
covariances = invertible.map(lambda m: m @ m.swapaxes(-1, -2) / 36 + np.diag(np.float32([0.01, 0])))


@quick
@given(covariances)
def test_principal_axes_are_a_square_root(covariance):
    axes = affine.principal_axes(covariance)
    np.testing.assert_allclose(affine.compose(axes, affine.transpose(axes)), covariance, rtol=1e-5, atol=1e-6)
    products = jnp.sum(axes[..., 0] * axes[..., 1], axis=-1)
    np.testing.assert_allclose(products, 0, atol=1e-6)
    lengths = jnp.linalg.norm(axes, axis=-2)
    assert jnp.all(lengths[..., 0] >= lengths[..., 1])


def test_principal_axes_have_the_signs_of_lapack():
    """2000 covariances of all shapes and sizes, in every combination of signs."""
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(2000, 2, 2)) * np.array([[1], [3]])
    covariance = matrices @ matrices.swapaxes(1, 2) * 10.0 ** rng.integers(-4, 1, (2000, 1, 1))
    rotated = covariance[:, ::-1, ::-1]
    covariance = np.concatenate([covariance, rotated])
    vectors, values, _ = np.linalg.svd(covariance)
    with jax.enable_x64(True):
        axes = affine.principal_axes(jnp.asarray(covariance))
    lengths = np.sqrt(np.maximum(values, affine.LEAST_VARIANCE))
    np.testing.assert_allclose(axes, vectors * lengths[:, None], rtol=1e-6, atol=1e-9)
    assert {tuple(signs) for signs in np.sign(vectors.reshape(-1, 4))} >= {
        (-1, -1, -1, 1),
        (1, 1, 1, -1),
        (-1, 1, 1, 1),
    }


def test_gradients_of_principal_axes():
    """Against finite differences; and finite where the axes have no derivative."""
    with jax.enable_x64(True):
        covariance = jnp.array([[0.2, 0.03], [0.03, 0.1]])
        jax.test_util.check_grads(affine.principal_axes, (covariance,), order=1, modes=["rev"])
    singular = jnp.array([[1.0, 1.0], [1.0, 1.0]])
    for matrix in (0.3 * jnp.eye(2), jnp.zeros((2, 2)), singular, 0.3 * jnp.eye(2) + 1e-9):
        gradient = jax.jacrev(affine.principal_axes)(matrix)
        assert jnp.all(jnp.isfinite(gradient))
        assert jnp.all(jnp.abs(gradient) < 1e5)
        assert jnp.all(jnp.isfinite(affine.inverse(affine.principal_axes(matrix))))


def test_agree_in_sign():
    matrix = jnp.array([[[-1.0, 2], [3, 4]], [[1, 2], [3, 4]]])
    np.testing.assert_array_equal(affine.agree_in_sign(matrix), [[[1, -2], [-3, -4]], [[1, 2], [3, 4]]])
