"""Animated WebP, PNG and AVIF as videos."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, features

from motion_transformer_jax.data.animated_image import AnimatedImage, is_animated
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.limits import DEFAULT_LIMITS, MediaLimits, applied
from motion_transformer_jax.data.sound import has_sound
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 3), np.uint8).repeat(16, 1).repeat(16, 2)
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


def save(path, frames=FRAMES, *, duration=40, **options):
    images = [Image.fromarray(frame) for frame in frames]
    lossless = {"webp": {"lossless": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}.get(path.suffix[1:], {})
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, **lossless, **options)
    return path


@pytest.mark.parametrize("suffix", ["webp", "png", "apng", pytest.param("avif", marks=needs_avif)])
def test_all_frames_are_read(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", **({"format": "PNG"} if suffix == "apng" else {}))
    info = probe_video(path)
    assert (info.fps, info.width, info.height, info.num_frames, info.has_clock) == (25, 64, 48, 6, True)
    got = np.stack(list(read_frames(path))).astype(int)
    assert got.shape == FRAMES.shape and np.abs(got - FRAMES).max() <= (12 if suffix == "avif" else 0)
    assert len(list(read_frames(path, fps=50))) == 12
    np.testing.assert_array_equal(list(read_frames(path, start=0.08, end=0.16)), got[2:4])
    np.testing.assert_array_equal(read_image(path), got[0])
    assert not has_sound(path)


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_durations_are_kept(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", duration=[40, 120, 40, 40, 200, 40])
    times = [(start, duration) for start, duration, _ in AnimatedImage(path, DEFAULT_LIMITS).timed_frames()]
    starts = [Fraction(start, 1000) for start in (0, 40, 160, 200, 240, 440)]
    assert [start for start, _ in times] == starts and sum(duration for _, duration in times) == Fraction(48, 100)
    assert probe_video(path).fps == 12.5
    shown = list(read_frames(path, fps=25))
    np.testing.assert_array_equal(shown, FRAMES[[0, 1, 1, 2, 2, 3, 4, 4, 4, 5, 5, 5]])


def test_frames_of_no_duration_last_as_in_browsers(tmp_path):
    assert probe_video(save(tmp_path / "a.webp", duration=0)).fps == 10


def test_transparency_goes_over_white(tmp_path):
    shades = [np.full((8, 8, 4), (200, 0, 0, alpha), np.uint8) for alpha in (0, 255)]
    got = list(read_frames(save(tmp_path / "a.webp", shades)))
    assert [frame[0, 0].tolist() for frame in got] == [[255, 255, 255], [200, 0, 0]]


def test_the_picture_for_other_programs_is_left_out(tmp_path):
    """What a PNG shows where animations are unknown is no frame."""
    path = save(tmp_path / "a.png", default_image=True)
    np.testing.assert_array_equal(list(read_frames(path)), FRAMES[1:])
    assert not is_animated(save(tmp_path / "b.png", FRAMES[:2], default_image=True))


@pytest.mark.parametrize("suffix", ["webp", "png", "tif"])
def test_stills_and_pages_are_no_animation(tmp_path, suffix):
    Image.fromarray(FRAMES[0]).save(tmp_path / f"still.{suffix}", lossless=True)
    assert not is_animated(tmp_path / f"still.{suffix}")
    np.testing.assert_array_equal(list(read_frames(tmp_path / f"still.{suffix}")), FRAMES[:1])
    save(tmp_path / "pages.tif")
    assert not is_animated(tmp_path / "pages.tif") and not probe_video(tmp_path / "pages.tif").has_clock


def test_a_truncated_file_gives_its_readable_part(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)
    path = save(tmp_path / "a.png", noise)
    content, told = path.read_bytes(), []
    path.write_bytes(content[: len(content) // 2])
    got = list(read_frames(path, warn=told.append))
    assert 2 <= len(got) <= 4
    np.testing.assert_array_equal(got[:2], noise[:2])
    assert told == [f"{path}: the file ends early, after {len(got)} of 6 frames"]
    path.write_bytes(content[:200])
    with pytest.raises(UserError, match=r"cannot read the image .*a\.png"):
        probe_video(path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (MediaLimits(max_frames=5), "more frames than the limit of 5"),
        (MediaLimits(max_seconds=0.2), "lasts longer than the limit of 0.2 seconds"),
        (MediaLimits(max_pixels=1000), "images of 64x48 pixels, over the limit"),
        (MediaLimits(max_bytes=100), "over the limit of 100"),
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_limits(tmp_path, suffix, limits, message):
    path = save(tmp_path / f"a.{suffix}")
    with applied(limits), pytest.raises(UserError, match=message):
        probe_video(path)
