"""Limits of images and videos: what a file claims is compared before memory is taken, what it gives is counted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import bombs
import numpy as np
import pytest
from corpora import write_frames, write_mp4, write_strip
from PIL import Image

from motion_transformer_jax.data.image import image_size, read_image
from motion_transformer_jax.data.limits import MediaLimits, applied, current_limits
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError


def write_film(path, count=8, side=32):
    noise = np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8)
    write_video(path, noise, fps=4)
    return path


def test_a_film_of_an_hour_is_within_the_defaults():
    limits = MediaLimits()
    limits.check_size("film.mp4", 1920, 1080)
    limits.check_length("film.mp4", frames=60 * 3600, seconds=3600)
    assert limits.max_bytes > 3600 * 16e6  # 128 Mbit/s


def test_limits_hold_inside_of_their_block_alone():
    with applied(MediaLimits(max_pixels=7)):
        assert current_limits().max_pixels == 7
    assert current_limits() == MediaLimits()


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_pixels": 32 * 32 - 1}, r"pixels.*raise --max-pixels if you trust it"),
        ({"max_frames": 7}, r"more frames than the limit of 7; .* --max-frames"),
        ({"max_seconds": 1.9}, r"lasts longer than the limit of 1\.9 seconds; .* --max-seconds"),
        ({"max_bytes": 100}, r"bytes, over the limit of 100; .* --max-bytes"),
    ],
)
def test_videos(tmp_path, suffix, limits, message):
    path = write_film(tmp_path / f"a.{suffix}")
    for read in (probe_video, lambda path: list(read_frames(path))):
        with applied(MediaLimits(**limits)), pytest.raises(UserError, match=message):
            read(path)
    just_enough = MediaLimits(max_pixels=32 * 32, max_frames=8, max_seconds=2.01, max_bytes=path.stat().st_size)
    with applied(just_enough):
        assert len(list(read_frames(path))) == 8


def test_what_a_video_gives_is_counted_whatever_it_claims(tmp_path):
    """A header that says less, and frames that are asked for faster than they come."""
    path = write_film(tmp_path / "a.webm")
    path.write_bytes(re.sub(rb"00:00:0[12]\.\d+", b"00:00:00.100000000", path.read_bytes()))
    with applied(MediaLimits(max_frames=5)):
        frames = read_frames(path)
        with pytest.raises(UserError, match="more frames than the limit of 5"):
            for _ in range(9):
                next(frames)
    with applied(MediaLimits(max_frames=100)), pytest.raises(UserError, match="more frames than the limit of 100"):
        list(read_frames(path, fps=60))


def test_limits_are_those_of_the_call(tmp_path):
    write_frames(tmp_path / "v", 1)
    with applied(MediaLimits(max_pixels=1)):
        frames = read_frames(tmp_path / "v")
    with pytest.raises(UserError, match="images of 8x8 pixels, over the limit of 1"):
        next(frames)


def test_folders_and_strips(tmp_path):
    write_frames(tmp_path / "v", 1, num_frames=4)
    write_strip(tmp_path / "s.png", 1, num_frames=4)
    for path in (tmp_path / "v", tmp_path / "s.png"):
        with applied(MediaLimits(max_frames=3)), pytest.raises(UserError, match="more frames than the limit of 3"):
            list(read_frames(path))
        with applied(MediaLimits(max_pixels=8)), pytest.raises(UserError, match="over the limit of 8;"):
            list(read_frames(path))
    Image.new("RGB", (100, 100)).save(tmp_path / "v" / "00002.png")
    told = []
    with applied(MediaLimits(max_pixels=64)):
        assert len(list(read_frames(tmp_path / "v", warn=told.append))) == 3
    assert "1 broken frame skipped" in told[0]


def test_images(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    for limits, message in [
        (MediaLimits(max_pixels=1999), "images of 50x40 pixels, over the limit of 1,999; take a smaller one, or raise"),
        (MediaLimits(max_bytes=1000), "bytes, over the limit of 1,000"),
    ]:
        for read in (read_image, image_size):
            with applied(limits), pytest.raises(UserError, match=message):
                read(path)
    with applied(MediaLimits(max_pixels=2000)):
        assert read_image(path).shape == (40, 50, 3)
    with open(path, "ab") as file:  # a sparse file: an image of so many pixels has no use for it
        file.truncate(2**30)
    with pytest.raises(UserError, match=r"bytes, over the limit of 553,648,128; .* --max-bytes and --max-pixels"):
        read_image(path)


def test_limits_above_pillows_own(tmp_path):
    """Pillow itself gives up at 179 million pixels."""
    Image.new("1", (15_000, 15_000)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(UserError, match="15000x15000"):
        image_size(tmp_path / "a.png")
    with applied(MediaLimits(max_pixels=15_000**2)):
        assert image_size(tmp_path / "a.png") == (15_000, 15_000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"a\.png is a pipe or a device"):
        read_image(tmp_path / "a.png")
    for path in (tmp_path / "a.mp4", "/dev/zero"):
        with pytest.raises(UserError, match="is a pipe or a device"):
            probe_video(path)


def test_postscript_is_not_run(tmp_path):
    """Pillow would hand it to Ghostscript, whatever the file is called."""
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_text(text)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "EPS"
    with pytest.raises(UserError, match="is not an image"):
        read_image(tmp_path / "a.png")


def test_bombs_take_no_memory(tmp_path):
    """A quarter of a billion pixels each, in a process whose memory is measured."""
    for name in ("png", "bmp", "ppm", "tiff", "jpeg", "webp", "gif"):
        (tmp_path / f"a.{name}").write_bytes(getattr(bombs, name)())
    (tmp_path / "b.png").write_bytes(bombs.png(2**31 - 1))
    (tmp_path / "b.gif").write_bytes(bombs.gif(65_535))
    code = """
import pathlib, re, sys
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.errors import UserError
def peak():
    return int(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        list(read_frames(path)) if path.name == 'b.gif' else read_image(path)
        print('no error for', path.name)
    except UserError as error:
        if 'pixels' not in str(error):
            print(error)
print(peak() - before)
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert int(done.stdout) < 32 * 1024  # KiB; decoded, the smallest has 256 MiB


def test_preparing_under_other_limits_is_another_setting(tmp_path):
    from motion_transformer_jax.data.builders import Preparation, prepare_dataset
    from motion_transformer_jax.data.frame_records import FrameFormat

    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_mp4(tmp_path / split / "a.mp4")
        write_strip(tmp_path / split / "b.png", 1)
    few = Preparation(tmp_path, FrameFormat(8), max_bad=1, limits=MediaLimits(max_frames=3))
    folder = prepare_dataset("folder", tmp_path / "out", few)
    report = Path(tmp_path / "out" / "folder-report.txt").read_text()
    assert "skipped train/a.mp4" in report and "more frames than the limit of 3" in report
    assert folder.is_dir()
    with pytest.raises(UserError, match="was prepared from other files or with other settings"):
        prepare_dataset("folder", tmp_path / "out", Preparation(tmp_path, FrameFormat(8), max_bad=1))
