"""Subjects of real and made-up pictures: faces where dlib is, else what stands out."""

import functools
import importlib.util

import numpy as np
import pytest
import skimage.data

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import subject
from motion_transformer_jax.inference.crop import square_around
from motion_transformer_jax.inference.subject import find_face, find_subject, miniature, salient_squares

needs_dlib = pytest.mark.skipif(not importlib.util.find_spec("dlib"), reason="needs the extra [eval]")
# Read off the picture by eye, in pixels: the chin, the hair over the forehead and the ends of the hair.
FACE = (223, 178), (225, 28), (158, 75), (298, 80)


@pytest.fixture
def without_dlib(monkeypatch):
    monkeypatch.setattr(subject, "_face_detector", lambda: None)


@pytest.fixture
def astronaut():
    return skimage.data.astronaut()


def holds(square, x, y):
    return abs(x - square.x) < square.side / 2 and abs(y - square.y) < square.side / 2


@needs_dlib
@pytest.mark.parametrize(("left", "top"), [(0, 0), (300, 0), (0, 200)])
def test_a_face_is_found_wherever_it_is(astronaut, left, top):
    picture = np.pad(astronaut[:400], ((top, 0), (left, 0), (0, 0)), constant_values=90)
    square, what = find_subject(picture)
    assert what == "the face" and 150 < square.side < 230
    assert all(holds(square, x + left, y + top) for x, y in FACE)
    assert abs(square.x - left - 225) < 12


@needs_dlib
def test_a_large_picture(astronaut):
    square, _ = find_subject(astronaut.repeat(4, axis=0).repeat(4, axis=1))
    small, _ = find_subject(astronaut)
    np.testing.assert_allclose(square, np.multiply(small, 4), rtol=0.05)


def test_without_dlib_it_is_said_how_to_get_it(monkeypatch, astronaut, caplog):
    def fail():
        raise UserError("dlib is not installed")

    monkeypatch.setattr(subject, "FaceDetector", fail)
    monkeypatch.setattr(subject, "_face_detector", functools.cache(subject._face_detector.__wrapped__))
    caplog.set_level("INFO")
    assert find_face(astronaut) is None and find_face(astronaut) is None
    assert caplog.messages == ["dlib is not installed"]


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("upright", [False, True])
def test_what_stands_out_is_in_the_square(without_dlib, place, upright):
    """A disc before a background that gets brighter from one end to the other."""
    y, x = np.mgrid[:120, :300]
    ground = (60 + x[..., None] / 3 * (1, 0.8, 0.6)).astype(np.uint8)
    disc = (x - 300 * place) ** 2 + (y - 70) ** 2 < 35**2
    picture = np.where(disc[..., None], np.array([200, 30, 40], np.uint8), ground)
    square, what = find_subject(picture.swapaxes(0, 1) if upright else picture)
    middle, other = (square.y, square.x) if upright else (square.x, square.y)
    assert what.startswith("what stands out") and 75 < square.side < 115
    assert abs(middle - 300 * place) < 4 and abs(other - 70) < 4
    roomy, _ = find_subject(picture.swapaxes(0, 1) if upright else picture, leave_room=True)
    assert roomy.side == 120 and abs((roomy.y if upright else roomy.x) - 300 * place) < 25


@pytest.mark.parametrize("ground", [128, 255])
@pytest.mark.parametrize("corner", [(0, 0), (544, 0), (300, 544)])
def test_a_small_subject_fills_its_square(without_dlib, ground, corner):
    puppet, (left, top) = read_image(EXAMPLES / "puppet-3.png"), corner
    picture = np.full((800, 800, 3), ground, np.uint8)
    picture[top : top + 256, left : left + 256] = puppet
    box = square_around(*find_subject(picture)[0], (800, 800))
    assert box.side < 350
    # Read off the picture by eye: the hands and feet, the hair and the soles.
    assert box.left < left + 73 and left + 184 < box.left + box.side
    assert box.top < top + 40 and top + 236 < box.top + box.side


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_picture_that_is_framed_on_its_subject_is_left(without_dlib, number):
    box = square_around(*find_subject(read_image(EXAMPLES / f"puppet-{number}.png"))[0], (256, 256))
    assert box.side >= 240


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_a_photograph_in_which_all_stands_out_is_left(without_dlib, name):
    picture = getattr(skimage.data, name)()
    assert find_subject(picture)[0].side == min(picture.shape[:2])


def test_a_subject_is_not_magnified_without_end(without_dlib):
    picture = np.full((400, 400, 3), 40, np.uint8)
    picture[100:116, 200:216] = 220
    square, _ = find_subject(picture)
    assert 100 <= square.side < 120 and holds(square, 208, 108)


def test_what_moves_is_in_the_square():
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (60, 200, 3), np.uint8)  # in which nothing stands out
    places = range(20, 160, 20)
    frames = [ground.copy() for _ in places]
    for frame, place in zip(frames, places, strict=True):
        frame[10:50, place : place + 25] = 128
    squares = [square for square, _ in salient_squares(np.stack(list(map(miniature, frames))), (60, 200))]
    for square, place in zip(squares, places, strict=True):
        assert square.x - 30 <= place + 3 and place + 22 <= square.x + 30


@pytest.mark.parametrize("shape", [(4, 100_000), (100_000, 4), (3000, 2000), (1, 1), (5, 7)])
def test_miniatures_are_small(shape):
    small = miniature(np.zeros((*shape, 3), np.uint8))
    assert max(small.shape) <= 256 and small.size <= 3 * 4200 and min(small.shape) >= 1


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (50, 50), (1, 1), (2, 500)])
def test_where_nothing_stands_out_it_is_the_middle(without_dlib, shape):
    square, _ = find_subject(np.full((*shape, 3), 77, np.uint8))
    assert square.side == min(shape)
    assert abs(square.x - shape[1] / 2) <= max(1, shape[1] / 50) and abs(square.y - shape[0] / 2) <= max(
        1, shape[0] / 50
    )
