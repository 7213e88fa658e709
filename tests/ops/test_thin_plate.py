import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.thin_plate import (
    ThinPlate,
    sample_thin_plate,
    warp_image,
    warp_jacobian,
    warp_points,
)


@pytest.fixture
def recorded_warp(recorded):
    def build(strength, affine_only=False):
        weights = recorded(f"{strength}_control_params")[:, 0]
        return ThinPlate(recorded(f"{strength}_theta"), weights[:, :0] if affine_only else weights)

    return build


@pytest.mark.parametrize("strength", ["tps", "tps_strong"])
def test_warp_is_the_official_one(strength, recorded, recorded_warp, assert_close):
    warp, points = recorded_warp(strength), recorded("tps_points")
    assert_close(jax.jit(warp_points)(warp, points), recorded(f"{strength}_warped_points"), 1e-6)
    warped = jax.jit(functools.partial(warp_image, align_corners=False))
    frame = warped(warp, recorded("tps_frame_image"))
    assert_close(frame, recorded(f"{strength}_frame"), 5e-6)


@pytest.mark.parametrize("strength", ["tps", "tps_strong"])
def test_jacobian_and_its_gradient_are_the_official_ones(strength, recorded, recorded_warp, assert_close):
    warp = recorded_warp(strength)

    @jax.jit
    def jacobian_and_gradient(points, cotangent):
        jacobian, pullback = jax.vjp(lambda p: warp_jacobian(warp, p), points)
        return jacobian, *pullback(cotangent)

    jacobian, gradient = jacobian_and_gradient(recorded("tps_points"), recorded("tps_jac_cot"))
    assert_close(jacobian, recorded(f"{strength}_jacobian"), 2e-6)
    assert_close(gradient, recorded(f"{strength}_jacobian_dpoints"), 2e-6)


def test_without_weights_the_warp_is_affine(recorded, recorded_warp, assert_close):
    warp, points = recorded_warp("tps", affine_only=True), recorded("tps_points")
    assert_close(jax.jit(warp_points)(warp, points), recorded("tps_affineonly_warped_points"), 1e-6)
    assert_close(jax.jit(warp_jacobian)(warp, points), recorded("tps_affineonly_jacobian"), 1e-6)


def test_control_points_are_the_official_ones(recorded, recorded_warp):
    expected = recorded("tps_control_points").reshape(25, 2)
    np.testing.assert_array_equal(recorded_warp("tps").control_points, expected)


def test_closed_form_jacobian_equals_automatic_differentiation(recorded, recorded_warp):
    warp, points = recorded_warp("tps_strong"), recorded("tps_points")

    def jacobian_of_one(theta, weights, point):
        one = ThinPlate(theta[None], weights[None])
        return jax.jacfwd(lambda p: warp_points(one, p[None, None])[0, 0])(point)

    over_points = jax.vmap(jacobian_of_one, in_axes=(None, None, 0))
    expected = jax.jit(jax.vmap(over_points))(warp.theta, warp.weights, points)
    np.testing.assert_allclose(jax.jit(warp_jacobian)(warp, points), expected, atol=5e-6)


def test_gradient_is_finite_on_a_control_point(recorded_warp):
    warp = recorded_warp("tps_strong")
    points = jnp.broadcast_to(warp.control_points, (2, 25, 2))
    for function in (warp_points, warp_jacobian):
        gradient = jax.jit(jax.grad(lambda p, f=function: jnp.sum(f(warp, p) ** 2)))(points)
        assert jnp.all(jnp.isfinite(gradient))


def test_sampled_warps_have_the_asked_spread():
    warp = sample_thin_plate(jax.random.key(0), 2000, sigma_affine=0.05, sigma_tps=0.005, points=5)
    assert warp.theta.shape == (2000, 2, 3)
    assert warp.weights.shape == (2000, 25)
    np.testing.assert_allclose(jnp.mean(warp.theta, axis=0), np.eye(2, 3), atol=0.005)
    np.testing.assert_allclose(jnp.std(warp.theta, axis=0), 0.05, rtol=0.1)
    np.testing.assert_allclose(jnp.std(warp.weights), 0.005, rtol=0.05)
    assert abs(np.corrcoef(warp.theta[:, 0, 0], warp.weights[:, 0])[0, 1]) < 0.1


def test_sampling_repeats_for_the_same_key_only():
    def sample(seed):
        return sample_thin_plate(jax.random.key(seed), 2, sigma_affine=0.05, sigma_tps=0.005, points=5)

    np.testing.assert_array_equal(sample(1).theta, sample(1).theta)
    assert jnp.any(sample(1).weights != sample(2).weights)


def test_a_warp_passes_through_jit():
    warp = sample_thin_plate(jax.random.key(0), 2, sigma_affine=0.1, sigma_tps=0.01, points=3)
    points = jnp.zeros((2, 4, 2))
    np.testing.assert_allclose(jax.jit(warp_points)(warp, points), warp_points(warp, points), atol=1e-6)
