"""Each loss against the same formula in NumPy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.training import losses

RNG = np.random.default_rng(0)


def random_mask(batch=2, height=4, width=5, channels=4):
    logits = RNG.normal(size=(batch, height, width, channels))
    return (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)


def features(scales=2):
    shapes = [(2, 8 >> tap, 8 >> tap, 3 + tap) for tap in range(3)]
    return [[RNG.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(scales)]


def test_feature_distance_sums_over_scales_and_taps():
    predicted, real, weights = features(), features(), (10.0, 1.0, 0.5)
    expected = sum(
        weights[tap] * np.abs(predicted[scale][tap].astype(np.float64) - real[scale][tap]).mean()
        for scale in range(2)
        for tap in range(3)
    )
    actual = jax.jit(losses.feature_distance)(predicted, real, weights)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_feature_distance_has_no_gradient_into_the_driving_frame():
    predicted, real = features(), features()
    to_prediction, to_driving = jax.jit(jax.grad(losses.feature_distance, argnums=(0, 1)))(
        predicted, real, (1.0, 1.0, 1.0)
    )
    assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(to_prediction))
    assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(to_driving))


def test_of_feature_differences_a_byte_a_number_is_kept():
    """Beside the features, whose values no gradient asks for."""
    features, shifted = jnp.ones((1, 2, 2, 3)), jnp.arange(12.0).reshape(1, 2, 2, 3) - 1
    _, pull_back = jax.vjp(lambda x: losses.feature_distance([[x]], [[features]], [2.0]), shifted)
    assert "int8" in [x.dtype.name for x in jax.tree.leaves(pull_back)]
    np.testing.assert_allclose(pull_back(jnp.float32(3))[0], 3 * 2 * jnp.sign(shifted - features) / 12)


@pytest.mark.parametrize(
    ("predicted", "real", "weights"),
    [(features(2), features(1), (1, 1, 1)), (features(1), features(1), (1, 1))],
)
def test_feature_distance_refuses_different_numbers_of_scales_or_taps(predicted, real, weights):
    with pytest.raises(ValueError, match=r"zip\(\) argument 2"):
        losses.feature_distance(predicted, real, weights)


def test_feature_distance_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"shapes differ: \(2, 4\) and \(1, 4\)"):
        losses.feature_distance([[jnp.ones((2, 4))]], [[jnp.ones((1, 4))]], [1.0])


def test_equivariance_keypoints():
    driving, warped = RNG.normal(size=(2, 3, 10, 2)).astype(np.float32)
    expected = np.abs(driving.astype(np.float64) - warped).mean()
    actual = losses.equivariance_keypoints(driving, warped)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"shapes differ"):
        losses.equivariance_keypoints(driving, warped[:1])


def test_equivariance_affine():
    driving, warped = RNG.normal(size=(2, 3, 10, 2, 2)).astype(np.float32)
    driving += 4 * np.eye(2, dtype=np.float32)
    product = np.linalg.inv(driving.astype(np.float64)) @ warped
    expected = np.abs(np.eye(2) - product).mean()
    actual = jax.jit(losses.equivariance_affine)(driving, warped)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    np.testing.assert_allclose(losses.equivariance_affine(driving, driving), 0, atol=1e-6)
    with pytest.raises(ValueError, match=r"shapes differ"):
        losses.equivariance_affine(driving, warped[:1])


@pytest.mark.parametrize(
    ("name", "shape"), [("disentangled_keypoints", (3, 10, 2)), ("disentangled_affine", (3, 10, 2, 2))]
)
def test_disentangled_motion(name, shape):
    driving, disentangled = RNG.normal(size=(2, *shape)).astype(np.float32)
    loss = getattr(losses, name)
    np.testing.assert_allclose(
        loss(driving, disentangled), np.abs(np.float64(driving) - disentangled).mean(), rtol=1e-6
    )
    with pytest.raises(ValueError, match="shapes differ"):
        loss(driving, disentangled[:1])


def test_keypoint_separation():
    keypoints = RNG.uniform(-1, 1, (3, 4, 2)).astype(np.float32)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    squared = np.stack([((keypoints[:, i] - keypoints[:, j]) ** 2).sum(-1) for i, j in pairs])
    value = losses.keypoint_separation(keypoints, radius=0.3)
    np.testing.assert_allclose(value, np.exp(-squared / (2 * 0.3**2)).mean(), rtol=1e-5)
    same = jnp.zeros((3, 4, 2))
    assert losses.keypoint_separation(same, radius=0.3) == 1
    assert not jnp.any(jax.grad(lambda k: losses.keypoint_separation(k, radius=0.3))(same))  # finite


@pytest.mark.parametrize("has_background", [True, False])
def test_background_mask(has_background):
    mask = random_mask()
    if has_background:
        expected = (1 - mask[..., 0]).mean() + 10 / 3 * mask[..., 1:].mean()
    else:
        expected = (1 - mask[..., 0] - mask[..., 1]).mean() + 10 / 3 * mask[..., 2:].mean()
    actual = losses.background_mask(mask, num_keypoints=3, has_background=has_background)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "num_keypoints", "has_background", "message"),
    [
        (4, 4, True, r"mask has 4 channels; expected 4 \+ 1"),
        (2, 1, False, "num_keypoints is 1; expected at least 2"),
    ],
)
def test_background_mask_refuses(channels, num_keypoints, has_background, message):
    with pytest.raises(ValueError, match=message):
        losses.background_mask(
            jnp.ones((1, 2, 2, channels)),
            num_keypoints=num_keypoints,
            has_background=has_background,
        )


def test_mask_concentration():
    mask = random_mask()
    expected = np.zeros(2)
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4))
    for b in range(2):
        for k in (1, 2, 3):
            p = mask[b, :, :, k] / mask[b, :, :, k].astype(np.float64).sum()
            expected[b] += (p * ((x - (p * x).sum()) ** 2 + (y - (p * y).sum()) ** 2)).sum()
    actual = jax.jit(losses.mask_concentration)(mask)
    np.testing.assert_allclose(actual, expected.mean(), rtol=1e-5)


def test_mask_concentration_of_single_pixels_is_zero_with_a_finite_gradient():
    mask = jnp.zeros((1, 3, 3, 2)).at[0, 1, 1, 1].set(1.0)
    value, gradient = jax.jit(jax.value_and_grad(losses.mask_concentration))(mask)
    assert value == 0
    assert jnp.all(jnp.isfinite(gradient))


@pytest.mark.parametrize(("dtype", "expected"), [("bfloat16", "float32"), ("float64", "float64")])
def test_losses_are_float32_or_better(dtype, expected):
    with jax.enable_x64(dtype == "float64"):
        matrices = jnp.asarray(RNG.normal(size=(2, 3, 2, 2)), dtype) + 4 * jnp.eye(2, dtype=dtype)
        mask = jnp.asarray(random_mask(), dtype)
        results = (
            losses.feature_distance([[mask]], [[mask + 1]], [1.0]),
            losses.equivariance_keypoints(matrices[..., 0], matrices[..., 1]),
            losses.equivariance_affine(matrices, matrices),
            losses.background_mask(mask, num_keypoints=3, has_background=True),
            losses.mask_concentration(mask),
        )
        assert [result.dtype for result in results] == [jnp.dtype(expected)] * 5
        wide = mask.astype(expected)
        np.testing.assert_array_equal(results[4], losses.mask_concentration(wide))


def test_adversarial_losses():
    """Least squares: what the generator wants of its frames, and what the discriminator wants of both kinds."""
    real, generated = ([RNG.normal(size=(2, size, size, 1)).astype(np.float32) for size in (5, 3)] for _ in range(2))
    expected = sum(np.mean((1 - scores.astype(np.float64)) ** 2) for scores in generated)
    np.testing.assert_allclose(losses.adversarial(generated), expected, rtol=1e-6)
    expected = sum(np.mean((1 - a.astype(np.float64)) ** 2 + b**2) for a, b in zip(real, generated, strict=True))
    np.testing.assert_allclose(losses.discriminator(real, generated), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="shapes differ"):
        losses.discriminator(real, [scores[:1] for scores in generated])


def test_equivariance_affine_up_to_sign():
    driving = np.broadcast_to(np.eye(2, dtype=np.float32), (1, 2, 2, 2))
    warped = driving * np.array([[[[-1.0]], [[1.0]]]], np.float32)
    assert losses.equivariance_affine(driving, warped, revert_axis_swap=True) == 0
    assert losses.equivariance_affine(driving, warped) == 0.5
