import numpy as np
import pytest

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.inference.crop import Box
from motion_transformer_jax.inference.paste import PasteBack

PICTURE = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)


def test_only_the_square_changes_and_softly():
    before = PICTURE.copy()
    result = np.full((32, 32, 3), 255, np.uint8)
    black = np.zeros_like(PICTURE)
    pasted = PasteBack(black, Box(40, 20, 50))(result)
    outside = np.ones((90, 140), bool)
    outside[20:70, 40:90] = False
    assert not pasted[outside].any()
    row = pasted[45, 40:90, 0].astype(int)
    assert row[0] < 30 and (row[7:-7] == 255).all() and (np.diff(row[:7]) >= 0).all()
    assert np.abs(np.diff(row)).max() < 80  # no edge to be seen
    np.testing.assert_array_equal(row, row[::-1])
    np.testing.assert_array_equal(PasteBack(PICTURE, Box(40, 20, 50))(result)[outside], PICTURE[outside])
    np.testing.assert_array_equal(PICTURE, before)


@pytest.mark.parametrize("box", [Box(40, 20, 50), Box(0, 0, 90), Box(50, 0, 90), Box(139, 89, 1), Box(3, 4, 2)])
def test_the_source_itself_changes_nothing(box):
    np.testing.assert_array_equal(PasteBack(PICTURE, box)(box.cut(PICTURE)), PICTURE)


def test_no_edge_where_the_picture_ends():
    result = np.full((90, 90, 3), 255, np.uint8)
    pasted = PasteBack(np.zeros_like(PICTURE), Box(0, 0, 90))(result)
    assert (pasted[:, :70] == 255).all() and pasted[:, 89].max() < 30 and not pasted[:, 90:].any()


def test_a_result_of_another_size_is_brought_to_the_square():
    result = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    pasted = PasteBack(PICTURE, Box(40, 20, 50))(result)
    np.testing.assert_array_equal(pasted[30:60, 50:80], resize_image(result, (50, 50))[10:40, 10:40])
