import ml_dtypes
import numpy as np
import pytest

from motion_transformer_jax.viz.raster import as_uint8, keypoint_colors, resize


def test_colors_are_distinct_and_do_not_depend_on_how_many():
    colors = keypoint_colors(40).astype(int)
    distances = np.abs(colors[:, None] - colors).sum(-1) + 1000 * np.eye(40, dtype=int)
    assert distances.min() > 10
    assert distances[:20, :20].min() > 60
    np.testing.assert_array_equal(keypoint_colors(7), colors[:7])
    assert keypoint_colors(0).shape == (0, 3)


def test_as_uint8_takes_floats_and_grey_and_never_aliases():
    image = np.zeros((2, 3, 3), np.uint8)
    as_uint8(image)[:] = 9
    assert image.max() == 0
    floats = np.array([[-1.0, 0.5, 2.0, np.nan]], np.float32)
    np.testing.assert_array_equal(as_uint8(floats)[0, :, 1], [0, 128, 255, 0])
    np.testing.assert_array_equal(as_uint8(floats.astype(ml_dtypes.bfloat16)), as_uint8(floats))
    with pytest.raises(ValueError, match=r"\(4, 4, 2\); expected \[H, W, 3\]"):
        as_uint8(np.zeros((4, 4, 2)))
    with pytest.raises(ValueError, match="int64; expected uint8 or float"):
        as_uint8(np.zeros((4, 4, 3), int))


def test_resize_is_antialiased():
    stripes = np.tile(np.uint8([0, 255]), (64, 32))
    assert abs(int(resize(stripes, 8, 8)[4, 4, 0]) - 128) < 8
