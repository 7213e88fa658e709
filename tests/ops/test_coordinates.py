import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motion_transformer_jax.ops.coordinates import (
    coordinate_grid,
    covariance_heatmaps,
    expected_covariance,
    expected_points,
    from_homogeneous,
    gaussian_heatmaps,
    softmax_heatmaps,
    to_homogeneous,
)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (16, 16), (58, 58)])
def test_coordinate_grid_is_the_official_one(height, width, recorded, dtype, assert_close):
    assert_close(coordinate_grid(height, width, dtype), recorded(f"grid_{height}x{width}"), 2e-7)


def test_coordinate_grid_runs_x_first_from_corner_centre_to_corner_centre():
    grid = coordinate_grid(3, 5)
    np.testing.assert_array_equal(grid[0, 0], [-1, -1])
    np.testing.assert_array_equal(grid[2, 4], [1, 1])
    np.testing.assert_array_equal(grid[0, 4], [1, -1])
    np.testing.assert_array_equal(grid[1, 2], [0, 0])


def test_a_single_row_or_column_lies_in_the_middle():
    np.testing.assert_array_equal(coordinate_grid(1, 1), [[[0, 0]]])


@pytest.mark.parametrize("variance", [0.01, 0.05])
def test_gaussian_heatmaps_are_the_official_ones(variance, recorded, assert_close):
    heatmaps = gaussian_heatmaps(recorded("kp_value"), 16, 12, variance=variance)
    assert_close(heatmaps, recorded(f"kp2gaussian_16x12_var{variance}"), 2e-6)


def test_gaussian_heatmap_is_one_at_a_keypoint_on_a_pixel_centre():
    heatmaps = gaussian_heatmaps(jnp.asarray([[1.0, -1.0], [0.0, 0.0]]), 5, 5, variance=0.01)
    assert heatmaps.shape == (5, 5, 2)
    assert heatmaps[0, 4, 0] == 1
    assert heatmaps[2, 2, 1] == 1


def test_covariance_heatmaps_are_the_official_ones(golden):
    official = golden("mraa")
    heatmaps = covariance_heatmaps(official["ops__kp_value"], official["ops__region_covar"], 16, 12)
    np.testing.assert_allclose(heatmaps, official["ops__region2gaussian_16x12_covar"], atol=2e-6)


def test_a_round_covariance_gives_round_heatmaps():
    keypoints = jnp.asarray([[0.2, -0.4], [0.0, 0.9]])
    covariance = jnp.broadcast_to(0.02 * jnp.eye(2), (2, 2, 2))
    round_heatmaps = gaussian_heatmaps(keypoints, 9, 7, variance=0.02)
    np.testing.assert_allclose(covariance_heatmaps(keypoints, covariance, 9, 7), round_heatmaps, atol=1e-6)


def test_moments_of_a_gaussian_heatmap():
    """The mean point and the covariance that a heat map was made of come back from it."""
    keypoints = jnp.asarray([[[0.1, -0.2], [-0.3, 0.25]]])
    covariance = jnp.asarray([[[[0.02, 0.005], [0.005, 0.01]], [[0.01, -0.004], [-0.004, 0.03]]]])
    logits = jnp.log(covariance_heatmaps(keypoints, covariance, 96, 128))
    heatmap = softmax_heatmaps(0.1 * logits, temperature=0.1)
    np.testing.assert_allclose(jnp.sum(heatmap, axis=(1, 2)), 1, atol=1e-5)
    center = expected_points(heatmap)
    np.testing.assert_allclose(center, keypoints, atol=1e-4)
    np.testing.assert_allclose(expected_covariance(heatmap, center), covariance, atol=1e-4)


# Not so small that a product with the scale is flushed to zero.
points = hnp.arrays(np.float32, (3, 2), elements=st.floats(-10, 10, width=32).map(lambda x: round(x, 4)))


@settings(max_examples=25, deadline=None)
@given(points, st.sampled_from([-2.0, -0.5, 1.0, 4.0]))
def test_homogeneous_round_trip_forgets_the_scale(p, scale):
    assert to_homogeneous(p).shape == (3, 3)
    np.testing.assert_array_equal(from_homogeneous(scale * to_homogeneous(p)), p)
