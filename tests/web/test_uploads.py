import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tiny_model import random_frames

from motion_transformer_jax.data.video import VideoInfo
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.web import uploads
from motion_transformer_jax.web.uploads import UploadLimits

LIMITS = UploadLimits(max_pixels=48 * 64, max_seconds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uploads")
    Image.fromarray(random_frames(1, 48, 64)[0]).save(folder / "picture.png")
    Image.fromarray(random_frames(1, 49, 64)[0]).save(folder / "large.png")
    damaged = (folder / "picture.png").read_bytes()
    (folder / "damaged.png").write_bytes(damaged[: len(damaged) * 2 // 3])
    write_video(folder / "second.mp4", random_frames(10, 48, 64), fps=10)
    write_video(folder / "long.mp4", random_frames(11, 48, 64), fps=10)
    write_video(folder / "large.mp4", random_frames(2, 50, 64), fps=10)
    (folder / "text.mp4").write_text("no video")
    return folder


def test_what_is_within_the_limits_is_taken(folder):
    LIMITS.check_picture(folder / "picture.png")
    LIMITS.check_clip(folder / "second.mp4")
    LIMITS.check_all_frames(folder / "second.mp4")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("large.png", r"large.png has 64x49 pixels, .* at most .* are taken, so make it smaller"),
        ("damaged.png", "cannot read the image .*damaged.png"),
        ("second.mp4", "second.mp4 is not an image"),
        ("none.png", "there is no image"),
    ],
)
def test_pictures_that_are_refused(folder, name, message):
    with pytest.raises(UserError, match=message):
        LIMITS.check_picture(folder / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("long.mp4", "long.mp4 lasts longer than the 1 seconds that are taken; cut it"),
        ("large.mp4", "large.mp4 has 64x50 pixels"),
        ("text.mp4", "cannot read .*text.mp4 as a video"),
    ],
)
def test_clips_that_are_refused(folder, name, message):
    for check in (LIMITS.check_clip, LIMITS.check_all_frames):
        with pytest.raises(UserError, match=message):
            check(folder / name)


@pytest.mark.parametrize("claimed", [None, 1])
def test_a_header_that_lies_does_not_help(folder, monkeypatch, claimed):
    """The frames are counted, and not read further than they may be."""
    drawn = []

    def endless(path, warn):
        while True:
            drawn.append(path)
            yield np.zeros((4, 4, 3), np.uint8)

    info = VideoInfo(folder / "long.mp4", 10, 4, 4, claimed, Fraction(0))
    monkeypatch.setattr(uploads, "probe_video", lambda path: info)
    monkeypatch.setattr(uploads, "read_frames", endless)
    LIMITS.check_clip(info.path)
    with pytest.raises(UserError, match="lasts longer"):
        LIMITS.check_all_frames(info.path)
    assert len(drawn) == 11


def test_the_reading_can_be_ended(folder):
    read = []

    def stop():
        read.append(1)
        if len(read) == 3:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        LIMITS.check_all_frames(folder / "second.mp4", on_read=stop)


def test_limits_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LIMITS.max_bytes = 1
