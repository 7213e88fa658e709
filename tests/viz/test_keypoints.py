import numpy as np
import pytest

from motion_transformer_jax.viz.keypoints import draw_keypoints
from motion_transformer_jax.viz.raster import keypoint_colors


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_keypoints_are_dots_at_their_pixels_in_their_colours(dtype):
    image = np.zeros((33, 65, 3), dtype)
    picture = draw_keypoints(image, [[-0.5, 0.25], [1, -1]], radius_px=3)
    assert picture.shape == (33, 65, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[20, 16], keypoint_colors(2)[0])
    np.testing.assert_array_equal(picture[0, 64], keypoint_colors(2)[1])
    assert image.max() == 0


def test_keypoints_have_an_outline_and_soft_edges():
    picture = draw_keypoints(np.full((41, 41, 3), 255, np.uint8), [[0.03, 0]], radius_px=5)
    row = picture[20, 20:, 1].astype(int)
    assert row[0] == keypoint_colors(1)[0, 1] and row.min() < 40 and row[-1] == 255
    assert len(set(row.tolist())) > 3


def test_affine_draws_the_image_of_a_circle():
    affine = np.array([[[2.0, 0], [0, 0.5]]])
    picture = draw_keypoints(np.zeros((101, 101, 3), np.uint8), [[0, 0]], affine, radius_px=2, ellipse_radius=0.2)
    lit = picture.max(-1) > 128
    assert lit[50, 70] and lit[50, 30] and lit[45, 50] and lit[55, 50]
    assert lit[50, 60] and not lit[50, 40]  # the spoke of the x axis
    assert not lit[:44].any() and not lit[57:].any() and not lit[:, 72:].any()


def test_degenerate_keypoints_leave_the_rest_standing():
    image = np.zeros((32, 32, 3), np.uint8)
    keypoints = np.array([[np.nan, 0], [5, 5], [0, 0], [0.5, 0.5]])
    affine = np.stack([np.eye(2), np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.inf)])
    picture = draw_keypoints(image, keypoints, affine)
    np.testing.assert_array_equal(picture[23, 23], keypoint_colors(4)[3])
    np.testing.assert_array_equal(draw_keypoints(image, np.zeros((0, 2))), image)


def test_keypoints_on_an_enlarged_image():
    assert draw_keypoints(np.zeros((16, 16, 3)), [[0, 0]], size=80).shape == (80, 80, 3)
