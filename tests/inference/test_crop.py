import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import crop
from motion_transformer_jax.inference.crop import Box, BoxPath, choose_box, square_around, still_path
from motion_transformer_jax.inference.subject import Square

WIDE = np.zeros((40, 100, 3), np.uint8)


def test_a_box_is_cut_where_it_says():
    image = np.arange(30 * 40 * 3).reshape(30, 40, 3)
    np.testing.assert_array_equal(Box(5, 7, 10).cut(image), image[7:17, 5:15])
    assert str(Box(5, 7, 10)) == "5,7,10,10"


def test_none_is_the_middle():
    assert choose_box("none", WIDE, "a") == Box(30, 0, 40)
    assert choose_box("none", WIDE.swapaxes(0, 1), "a") == Box(0, 30, 40)


@pytest.mark.parametrize(
    ("rectangle", "box"),
    [
        ((10, 5, 20, 20), Box(10, 5, 20)),
        ((10, 5, 20, 10), Box(10, 0, 20)),  # as large as the longer side
        ((0, 0, 10, 30), Box(0, 0, 30)),  # moved inside
        ((95, 35, 5, 5), Box(95, 35, 5)),
        ((0, 0, 100, 40), Box(30, 0, 40)),  # as large as fits
        ((99, 39, 1, 1), Box(99, 39, 1)),
    ],
)
def test_a_rectangle_becomes_a_square_about_it(rectangle, box):
    assert choose_box(rectangle, WIDE, "a") == box


@pytest.mark.parametrize("rectangle", [(90, 0, 20, 20), (0, 30, 20, 20), (0, 0, 0, 5), (100, 40, 1, 1)])
def test_a_rectangle_that_is_not_inside(rectangle):
    with pytest.raises(UserError, match=r"does not lie inside me\.png, which is 100x40"):
        choose_box(rectangle, WIDE, "me.png")


def test_auto_is_around_the_subject_and_told(monkeypatch, caplog):
    monkeypatch.setattr(crop, "find_subject", lambda picture, leave_room: (Square(20.0, 5.0, 16.0), "the face"))
    caplog.set_level("INFO")
    assert choose_box("auto", WIDE, "me.png") == Box(12, 0, 16)
    assert caplog.messages == ["me.png is cropped to 12,0,16,16, around the face"]


@pytest.mark.parametrize("side", [0.2, 7.4, 39.6, 1000])
def test_squares_stay_inside(side):
    for x in (-50, 0, 33.3, 99.9, 500):
        for y in (-50, 0, 21.7, 40, 500):
            box = square_around(x, y, side, (40, 100))
            assert 0 <= box.left <= 100 - box.side and 0 <= box.top <= 40 - box.side and 1 <= box.side <= 40


def test_a_path_moves_evenly_inside_and_does_not_grow():
    path = BoxPath((2, 12), ((10.0, 20.0), (90.0, 20.0)), 30.0, (40, 100))
    boxes = [path.at(index) for index in range(15)]
    assert boxes[:3] == [Box(0, 5, 30)] * 3 and boxes[12:] == [Box(70, 5, 30)] * 3
    assert [box.left for box in boxes[4:8]] == [11, 19, 27, 35]


def test_a_still_path():
    for box in (Box(5, 7, 10), Box(3, 0, 7)):
        path = still_path(box, (40, 100))
        assert path.at(0) == path.at(1000) == box
