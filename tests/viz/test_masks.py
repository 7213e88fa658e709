import numpy as np

from motion_transformer_jax.viz.masks import (
    BACKGROUND_COLOR,
    draw_masks,
    draw_occlusion,
)
from motion_transformer_jax.viz.raster import keypoint_colors


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


def test_occlusion_is_grey():
    picture = draw_occlusion(np.array([[[0.0], [1.0]], [[0.0], [1.0]]]), 20)
    assert picture[10, 0].tolist() == [0, 0, 0] and picture[10, 19].tolist() == [255, 255, 255]
