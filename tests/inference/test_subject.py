"""Subjects of real and made-up pictures: faces where dlib is, else what stands out."""

import importlib.util

import numpy as np
import pytest
import skimage.data

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import subject
from motion_transformer_jax.inference.subject import find_faces, find_subject

needs_dlib = pytest.mark.skipif(not importlib.util.find_spec("dlib"), reason="needs the extra [eval]")
# Read off the picture by eye, in pixels: the chin, the hair over the forehead and the ends of the hair.
FACE = (223, 178), (225, 28), (158, 75), (298, 80)


@pytest.fixture
def without_dlib(monkeypatch):
    def fail():
        raise UserError("dlib is not installed")

    monkeypatch.setattr(subject, "_face_detector", fail)


@pytest.fixture
def astronaut():
    return skimage.data.astronaut()


def holds(square, x, y):
    return abs(x - square.x) < square.side / 2 and abs(y - square.y) < square.side / 2


@needs_dlib
@pytest.mark.parametrize(("left", "top"), [(0, 0), (300, 0), (0, 200)])
def test_a_face_is_found_wherever_it_is(astronaut, left, top):
    picture = np.pad(astronaut[:400], ((top, 0), (left, 0), (0, 0)), constant_values=90)
    square, what = find_subject([picture])
    assert what == "the face" and 150 < square.side < 230
    assert all(holds(square, x + left, y + top) for x, y in FACE)
    assert abs(square.x - left - 225) < 12


@needs_dlib
def test_a_large_picture(astronaut):
    square, _ = find_subject([astronaut.repeat(4, axis=0).repeat(4, axis=1)])
    small, _ = find_subject([astronaut])
    np.testing.assert_allclose(square, np.multiply(small, 4), rtol=0.05)


@needs_dlib
def test_one_square_for_all_frames(astronaut):
    frames = [np.roll(astronaut[:300], shift, axis=1) for shift in (0, 40, -60)]
    frames.append(np.zeros_like(frames[0]))  # nobody there
    square, what = find_subject(frames)
    alone = find_faces(frames[:1])[0]
    assert what == "the face" and len(find_faces(frames)) == 3
    assert abs(square.side - alone.side - 100) < 15 and abs(square.x - alone.x + 10) < 10


def test_without_dlib_it_is_said_how_to_get_it(without_dlib, astronaut, caplog):
    caplog.set_level("INFO")
    assert find_faces([astronaut]) == []
    assert "dlib is not installed" in caplog.text


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("upright", [False, True])
def test_what_stands_out_is_in_the_square(without_dlib, place, upright):
    """A disc before a background that gets brighter from one end to the other."""
    y, x = np.mgrid[:120, :300]
    ground = (60 + x[..., None] / 3 * (1, 0.8, 0.6)).astype(np.uint8)
    disc = (x - 300 * place) ** 2 + (y - 70) ** 2 < 35**2
    picture = np.where(disc[..., None], np.array([200, 30, 40], np.uint8), ground)
    square, what = find_subject([picture.swapaxes(0, 1) if upright else picture])
    middle, other = (square.y, square.x) if upright else (square.x, square.y)
    assert what.startswith("what stands out") and square.side == 120 and other == 60
    assert middle - 60 - 3 <= 300 * place - 35 and 300 * place + 35 <= middle + 60 + 3


def test_what_moves_is_in_the_square(without_dlib):
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (60, 200, 3), np.uint8)  # in which nothing stands out
    frames = [ground.copy() for _ in range(6)]
    for index, frame in enumerate(frames):
        frame[10:50, 150 + 5 * (index % 2) : 175 + 5 * (index % 2)] = 128
    square, _ = find_subject(frames)
    assert square.x - 30 <= 150 and square.x + 30 >= 175


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (50, 50), (1, 1), (2, 500)])
def test_where_nothing_stands_out_it_is_the_middle(without_dlib, shape):
    square, _ = find_subject([np.full((*shape, 3), 77, np.uint8)])
    assert square.side == min(shape)
    assert abs(square.x - shape[1] / 2) <= max(1, shape[1] / 50) and abs(square.y - shape[0] / 2) <= max(
        1, shape[0] / 50
    )
