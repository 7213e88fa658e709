import numpy as np

from motion_transformer_jax.viz.masks import (
    BACKGROUND_COLOR,
    draw_flow,
    draw_masks,
    draw_occlusion,
)
from motion_transformer_jax.viz.raster import keypoint_colors


def shifted_flow(x, height=5, width=7):
    identity = np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)), axis=-1)
    return identity + np.array([x, 0])


def test_masks_blend_colours_over_a_dark_background():
    mask = np.zeros((4, 4, 3))
    mask[:, :2, 0] = 1
    mask[:2, 2:, 2] = 1
    mask[2:, 2:, 1:] = 0.5
    picture = draw_masks(mask, 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[32, 2], BACKGROUND_COLOR)
    np.testing.assert_array_equal(picture[2, 61], keypoint_colors(2)[1])
    blend = keypoint_colors(2).astype(int).mean(0)
    np.testing.assert_allclose(picture[61, 61], blend, atol=1)


def test_flow_is_white_at_rest_and_hue_shows_direction():
    assert draw_flow(shifted_flow(0), 32).min() == 255
    right = draw_flow(shifted_flow(0.4), 32)[16, 16]
    left = draw_flow(shifted_flow(-0.4), 32)[16, 16]
    np.testing.assert_allclose(right, [255, 0, 0], atol=8)
    np.testing.assert_allclose(left, [0, 255, 255], atol=8)
    faint = draw_flow(shifted_flow(0.1), 8)
    assert 150 < faint[4, 4, 1] < 220
    assert draw_flow(shifted_flow(0.1), 8, max_displacement=None)[4, 4, 1] < 8
    assert draw_flow(shifted_flow(np.nan), 8).min() == 255


def test_occlusion_is_grey():
    picture = draw_occlusion(np.array([[[0.0], [1.0]], [[0.0], [1.0]]]), 20)
    assert picture[10, 0].tolist() == [0, 0, 0] and picture[10, 19].tolist() == [255, 255, 255]
