"""Damaged pictures, videos and sounds into their readers: what makes sense or a UserError, in little memory."""

import io
from pathlib import Path

import av
import bombs
import numpy as np
import pytest
from damage import LENGTHS, campaign, damaged
from hypothesis import strategies as st
from PIL import Image, features
from sounding_clip import write_sounding_clip
from tiny_model import random_frames

from motion_transformer_jax.data.image import image_size, read_image
from motion_transformer_jax.data.limits import MediaLimits, applied
from motion_transformer_jax.data.sound import Sound, has_sound
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video

LIMITS = MediaLimits(max_pixels=10**6, max_frames=500, max_seconds=100, max_bytes=10**7)
IMAGES = ["PNG", "palette", "16 bits", "JPEG", "exif", "BMP", "WEBP", "TIFF", "deflate", "float", "PPM", "GIF"]
IMAGES += ["AVIF"] if features.check("avif") else []
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of long examples


def image_bytes(suffix: str) -> bytes:
    picture = Image.fromarray(random_frames(1, 24, 20)[0])
    file = io.BytesIO()
    if suffix == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(file, "JPEG", exif=exif)
    elif suffix == "palette":
        picture.quantize(8).save(file, "PNG", transparency=b"\0\xff")
    elif suffix == "16 bits":
        Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20)).save(file, "PNG")
    elif suffix == "float":
        Image.fromarray(np.linspace(0, 1, 480, dtype=np.float32).reshape(24, 20)).save(file, "TIFF")
    elif suffix == "deflate":
        picture.save(file, "TIFF", compression="tiff_adobe_deflate")
    else:
        picture.save(file, suffix)
    return file.getvalue()


@LENGTHS
@pytest.mark.parametrize("kind", IMAGES)
def test_images(tmp_path, examples, kind):
    path = tmp_path / "x.png"

    def check(content):
        path.write_bytes(content)
        with applied(LIMITS):
            height, width = image_size(path)
            image = read_image(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[:2] == (height, width) and height * width <= LIMITS.max_pixels

    campaign(damaged(image_bytes(kind)), check, examples)


@LENGTHS
@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif", "avi", "mov", "mkv", "flv", "ts", "mpg"])
def test_videos(tmp_path, examples, suffix):
    path = tmp_path / f"x.{suffix}"
    _encode(path)

    def check(content):
        path.write_bytes(content)
        with applied(LIMITS):
            info = probe_video(path)
            assert info.width * info.height <= LIMITS.max_pixels and 0 < info.fps < 1e6
            count = 0
            for frame in read_frames(path, size=(16, 16), fps=25, warn=lambda text: None):
                assert frame.shape == (16, 16, 3) and frame.dtype == np.uint8
                count += 1
        assert 1 <= count <= LIMITS.max_frames

    campaign(damaged(path.read_bytes()), check, examples)


def _encode(path: Path) -> None:
    frames = random_frames(5, 32, 48)
    if path.suffix in (".mp4", ".webm", ".gif"):
        write_video(path, frames, fps=10)
        return
    codecs = {".avi": "mjpeg", ".mov": "mpeg4", ".mkv": "libx264", ".flv": "flv", ".ts": "mpeg2video"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codecs.get(path.suffix, "mpeg1video"), rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


@LENGTHS
@pytest.mark.parametrize(
    ("suffix", "out"), [("mp4", "mp4"), ("webm", "mp4"), ("avi", "webm"), ("mkv", "mp4"), ("ts", "webm")]
)
def test_sounds(tmp_path, examples, suffix, out):
    """Of a damaged video, into a new one."""
    path, new = tmp_path / f"x.{suffix}", tmp_path / f"new.{out}"
    whole = write_sounding_clip(path).read_bytes()

    def check(content):
        path.write_bytes(content)
        with applied(LIMITS):
            info = probe_video(path)
            sound = Sound(path, info.origin) if has_sound(path) else None
            write_video(new, random_frames(4, 8, 8), fps=25, sound=sound)
        assert len(list(read_frames(new))) == 4

    campaign(damaged(whole), check, examples)


@LENGTHS
@pytest.mark.parametrize("kind", ["png", "bmp", "ppm", "tiff", "jpeg", "webp"])
def test_bombs(tmp_path, examples, kind):
    """Claims of any size."""
    path = tmp_path / "x.png"

    def check(side):
        path.write_bytes(getattr(bombs, kind)(side))
        with applied(LIMITS):
            read_image(path)

    largest = {"jpeg": 2**16 - 1, "webp": 2**24}.get(kind, 2**31 - 1)
    campaign(st.integers(1, 5000) | st.integers(1, largest), check, examples)
