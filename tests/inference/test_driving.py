"""Driving videos: part, rate, crop and sound together."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from sounding_clip import write_sounding_clip
from tiny_model import random_frames

from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import driving as module
from motion_transformer_jax.inference.crop import BoxPath
from motion_transformer_jax.inference.driving import open_driving
from motion_transformer_jax.inference.options import AnimationOptions

FRAMES = random_frames(50, 12, 16)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "a.mp4", FRAMES, fps=25)
    write_sounding_clip(folder / "loud.mp4")
    (folder / "frames").mkdir()
    for index, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / "frames" / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("name", "options", "fps", "expected"),
    [
        ("a.mp4", {}, 25, {}),
        ("a.mp4", {"fps": 10}, 10, {"fps": 10}),
        ("a.mp4", {"start": 0.4, "end": 1.2}, 25, {"start": 0.4, "end": 1.2}),
        ("a.mp4", {"start": 0.4, "end": 1.2, "fps": 50}, 50, {"start": 0.4, "end": 1.2, "fps": 50}),
        ("frames", {}, 25, {}),
        ("frames", {"fps": 10}, 10, {}),
        ("frames", {"fps": 10, "start": 1, "end": 2}, 10, {"start": 0.4, "end": 0.8}),  # frames 10 to 19
        ("frames", {"end": 100}, 25, {}),
    ],
)
def test_frames_and_what_is_said_of_them(clips, name, options, fps, expected):
    driving = open_driving(clips / name, AnimationOptions(**options))
    frames = list(driving.frames())
    np.testing.assert_array_equal(frames, list(read_frames(clips / name, **expected)))
    np.testing.assert_array_equal(list(driving.frames()), frames)
    assert (driving.fps, driving.num_frames, driving.sound) == (fps, len(frames), None)


def test_sound_begins_with_the_frames(clips):
    assert open_driving(clips / "loud.mp4", AnimationOptions()).sound.start == 0
    driving = open_driving(clips / "loud.mp4", AnimationOptions(start=0.5, end=1))
    assert driving.sound.start == Fraction(12, 25)  # the frame that is nearest
    assert open_driving(clips / "loud.mp4", AnimationOptions(sound=False)).sound is None


def test_crops(clips, monkeypatch):
    cropped = open_driving(clips / "a.mp4", AnimationOptions(driving_crop=(3, 1, 6, 6)))
    whole = np.stack(list(read_frames(clips / "a.mp4")))
    np.testing.assert_array_equal(list(cropped.frames()), whole[:, 1:7, 3:9])
    with pytest.raises(UserError, match=r"does not lie inside .*a\.mp4, which is 16x12"):
        open_driving(clips / "a.mp4", AnimationOptions(driving_crop=(13, 1, 6, 6)))

    def follow(frames, fps, name):
        np.testing.assert_array_equal(list(frames), whole[:40])
        assert fps == 25 and name.endswith("a.mp4")
        return BoxPath((0, 39), ((6, 6), (45, 6)), 12, (12, 60))

    monkeypatch.setattr(module, "follow_subject", follow)
    cropped = open_driving(clips / "a.mp4", AnimationOptions(driving_crop="auto", end=1.6))
    for index, frame in enumerate(islice(cropped.frames(), 5)):
        np.testing.assert_array_equal(frame, whole[index, :, index : index + 12])


def test_require_frame(clips):
    driving = open_driving(clips / "a.mp4", AnimationOptions(end=0.2))
    driving.require_frame(4)
    with pytest.raises(UserError, match=r"is to be 5 but .* has 5 frames; expected 0 to 4 or auto"):
        driving.require_frame(5)


def test_mistakes(clips):
    with pytest.raises(UserError, match=r"a\.mp4 is 2\.0 seconds long; choose an earlier start"):
        open_driving(clips / "a.mp4", AnimationOptions(start=2))
    with pytest.raises(UserError, match="a driving size is for raw frames and cameras"):
        open_driving(clips / "a.mp4", AnimationOptions(driving_size=(3, 4)))
    with pytest.raises(UserError, match=r"a\.mp4 has all its frames at once, leave out --live"):
        open_driving(clips / "a.mp4", AnimationOptions(live=True))
