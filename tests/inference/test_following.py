"""Crops that follow a figure through wide videos, and stay still where it does."""

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.inference import following, subject
from motion_transformer_jax.inference.following import follow_subject
from motion_transformer_jax.inference.subject import Square, find_face

HEIGHT, WIDTH = 272, 1280
FPS = 25


@pytest.fixture(autouse=True)
def without_dlib(monkeypatch):
    monkeypatch.setattr(subject, "_face_detector", lambda: None)


@pytest.fixture(scope="module")
def figure():
    """A puppet without its background: uint8 [h, w, 3], and where it is, bool [h, w]."""
    picture = read_image(EXAMPLES / "puppet-4.png")
    parts, _ = ndimage.label(np.linalg.norm(picture - picture[:, :6].mean(axis=1, keepdims=True), axis=-1) > 50)
    mask = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return picture[part], mask[part]


def video(figure, lefts, tops=30, shape=(HEIGHT, WIDTH)):
    """The figure at those places before a background that gets brighter, with a little noise."""
    pixels, mask = figure
    noise = np.random.default_rng(0)
    ground = np.broadcast_to(50 + 100 * np.linspace(0, 1, shape[1])[:, None] * (1, 0.9, 0.8), (*shape, 3))
    for left, top in np.broadcast(np.round(lefts).astype(int), tops):
        frame = ground + noise.normal(0, 3, (1, shape[1], 1))
        frame[top : top + len(mask), left : left + mask.shape[1]][mask] = pixels[mask]
        yield frame.clip(0, 255).astype(np.uint8)


def overhang(path, index, left, top, mask):
    """How far the figure reaches beyond the square, in pixels; negative inside."""
    box, (height, width) = path.at(index), mask.shape
    return max(
        box.left - left, left + width - box.left - box.side, box.top - top, top + height - box.top - box.side, -1000
    )


@pytest.mark.parametrize("crossing", ["once", "to and fro", "after a rest"])
def test_a_figure_that_crosses_the_frame_stays_in_the_square(figure, crossing, caplog):
    caplog.set_level("INFO")
    last = WIDTH - figure[1].shape[1]
    lefts = {
        "once": np.linspace(0, last, 75),
        "to and fro": last * (0.5 - 0.5 * np.cos(np.linspace(0, 2 * np.pi, 100))),
        "after a rest": np.concatenate([np.full(40, 100), np.linspace(100, last, 50)]),
    }[crossing]
    path = follow_subject(video(figure, lefts), FPS, "a.mp4")
    assert max(overhang(path, index, round(left), 30, figure[1]) for index, left in enumerate(lefts)) <= 0
    boxes = [path.at(index) for index in range(len(lefts))]
    assert {box.side for box in boxes} == {boxes[0].side} and {box.top for box in boxes} == {boxes[0].top}
    assert np.abs(np.diff([box.left for box in boxes], 2)).max() <= 16  # it glides
    assert caplog.messages == [f"a.mp4 is cropped to {boxes[0]}, and from there follows {subject.STANDING_OUT}"]


def test_a_small_figure_is_followed_in_both_directions(figure):
    lefts, tops = np.linspace(50, 1100, 50), np.linspace(20, 480, 50).astype(int)
    path = follow_subject(video(figure, lefts, tops, (720, WIDTH)), FPS, "a.mp4")
    for index, (left, top) in enumerate(zip(lefts, tops, strict=True)):
        assert overhang(path, index, round(left), top, figure[1]) < 0
    assert path.at(0).side < 350


@pytest.mark.parametrize("swing", [0, 10, 50])
def test_the_square_is_still_around_a_figure_that_moves_little(figure, swing):
    lefts = 600 + swing * np.sin(np.arange(60) / 5)
    path = follow_subject(video(figure, lefts, 260, (720, WIDTH)), FPS, "a.mp4")
    assert len({path.at(index) for index in range(60)}) == 1
    assert max(overhang(path, index, round(left), 260, figure[1]) for index, left in enumerate(lefts)) < 0
    assert path.at(0).side < 420


def test_where_the_figure_is_out_of_the_frame_the_square_waits(figure):
    frames = [*video(figure, np.full(25, 900)), *[np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 15]
    path = follow_subject(frames, FPS, "a.mp4")
    assert len({path.at(index) for index in range(40)}) == 1 and overhang(path, 39, 900, 30, figure[1]) <= 0


@pytest.mark.parametrize("most", [True, False])
def test_faces_come_first_and_a_few_are_mistakes(figure, monkeypatch, most):
    samples = []

    def find(frame):
        samples.append(frame)
        return Square(100.0 * len(samples), 100.0, 80.0) if (len(samples) % 4 != 0) == most else None

    monkeypatch.setattr(following, "find_face", find)
    path = follow_subject(video(figure, np.full(50, 300)), FPS, "a.mp4")
    assert len(samples) == 11  # five a second, and the last
    if most:
        assert path.side == 80
        for index in (10, 15, 25, 35):  # found or not
            assert abs(path.at(index).left + 40 - 100 * (index / 5 + 1)) < 20
    else:
        assert overhang(path, 25, 300, 30, figure[1]) < 0


def test_a_real_face_is_followed(monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.undo()
    astronaut = skimage.data.astronaut()[:288]
    frames = [np.pad(astronaut, ((0, 0), (left, 300 - left), (0, 0))) for left in range(0, 300, 6)]
    alone, path = find_face(frames[0]), follow_subject(frames, FPS, "a.mp4")
    assert abs(path.side - alone.side) < 20
    for index in (0, 17, 40, 49):
        box = path.at(index)
        assert abs(box.left + box.side / 2 - alone.x - 6 * index) < 12 and abs(box.top + box.side / 2 - alone.y) < 12


@pytest.mark.parametrize("count", [1, 4, 5, 6, 40, 41, 100, 1000])
def test_samples_are_even_and_few(monkeypatch, count):
    monkeypatch.setattr(following, "_MOST_SAMPLES", 8)
    samples, size = following._sample((np.zeros((3, 4, 3), np.uint8) for _ in range(count)), 5)
    indices = [sample.index for sample in samples]
    assert size == (3, 4) and (indices[0], indices[-1]) == (0, count - 1) and len(indices) <= 9
    assert len(set(np.diff(indices[:-1]))) <= 1 and (count <= 40 or len(indices) >= 5)
