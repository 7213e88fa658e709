"""Frames as they lie in a prepared dataset: encoded images of one size.

A frame of a folder that is a PNG or JPEG of that size already keeps its bytes, so that nothing is lost twice.
"""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyspng
from PIL import Image

from motion_transformer_jax.data.container import DEFAULT_FPS, broken_frames
from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.image import read_image, resize_image
from motion_transformer_jax.data.limits import current_limits
from motion_transformer_jax.data.video import list_frames, probe_video, read_frames
from motion_transformer_jax.errors import UserError

ENCODINGS = ("png", "jpeg")
_KEPT_FORMATS = ("PNG", "JPEG")
_PNG_SIGNATURE = b"\x89PNG"
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_OFFSET = 16
# Run lengths alone compress a filtered photograph as well as deflate's search for repeats, in a fifth of the time.
_OPTIONS = {"png": {"compress_type": zlib.Z_RLE}, "jpeg": {"quality": 95, "subsampling": 0}}
_EXIF_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class FrameFormat:
    """What frames become.

    Attributes:
        size: Side in pixels.
        crop: "center": what is not square loses its margins; "stretch": it is squeezed; or a box (width, height,
            left, top) in pixels, which is squeezed if it is not square.
        encoding: "png", or "jpeg" of quality 95 with full colour resolution, a quarter of the bytes.
    """

    size: int
    crop: str | tuple[int, int, int, int] = "center"
    encoding: str = "png"


def encoded_frames(clip: Clip, frame_format: FrameFormat, warn: Callable[[str], None]) -> Iterator[bytes]:
    """Stream a clip's frames as PNG or JPEG files.

    Args:
        clip: What to read.
        frame_format: What they become.
        warn: Takes one line where frames were broken or missing, or the file ends early.

    Raises:
        UserError: As `read_frames`, where the crop's box is not inside a frame, and where a list names the frames of a
            file by other than numbers.
    """
    if clip.path.is_dir():
        yield from _folder_frames(clip, frame_format, warn)
        return
    wanted = _numbers(clip)
    for index, image in enumerate(read_frames(clip.path, warn=warn)):
        if wanted is None or index in wanted:
            yield _encode(_fit(image, frame_format), frame_format.encoding)


def clip_fps(clip: Clip) -> float:
    """Frames per second of a clip; 25 where it has no clock.

    Raises:
        UserError: As `probe_video`.
    """
    return float(DEFAULT_FPS) if clip.path.is_dir() else probe_video(clip.path).fps


def decode_frame(encoded: bytes, size: int) -> np.ndarray:
    """uint8 [size, size, 3] of the bytes of a PNG or JPEG, as `encoded_frames` gives them.

    Raises:
        UserError: They are damaged, or an image of another size, which is told before memory is taken for it.
    """
    try:
        if encoded.startswith(_PNG_SIGNATURE):
            found = _PNG_SIZE.unpack_from(encoded, _PNG_SIZE_OFFSET)
            image = pyspng.load(encoded) if found == (size, size) else None  # in half of Pillow's time
        else:
            with Image.open(io.BytesIO(encoded), formats=_KEPT_FORMATS) as opened:
                image = np.asarray(opened) if opened.size == (size, size) else None
    except Exception as error:  # decoders raise nearly anything
        raise UserError(f"a frame is damaged ({' '.join(str(error).split())})") from error
    if image is None or image.shape != (size, size, 3) or image.dtype != np.uint8:
        raise UserError(f"a frame is no image of {size}x{size} pixels and three 8-bit channels")
    return image


def _numbers(clip: Clip) -> set[int] | None:
    """Which frames of a file count: lists name them as the images that the file would be unpacked to, `00007.png`."""
    if clip.frames is None:
        return None
    stems = [Path(name).stem for name in clip.frames]
    if not all(stem.isascii() and stem.isdecimal() for stem in stems):
        raise UserError(
            f"{clip.path} is one file, of which a list names frames such as {clip.frames[0]}; expected numbers"
        )
    return {int(stem) for stem in stems}


def _folder_frames(clip: Clip, frame_format: FrameFormat, warn: Callable[[str], None]) -> Iterator[bytes]:
    files = list_frames(clip.path) if clip.frames is None else [clip.path / name for name in clip.frames]
    errors = []
    for file in files:
        try:
            encoded = _kept(file, frame_format) or _encode(_fit(read_image(file), frame_format), frame_format.encoding)
        except UserError as error:
            errors.append(error)
        else:
            yield encoded
    if errors and len(errors) == len(files):
        raise errors[0]
    if errors:
        warn(f"{clip.path}: {broken_frames(len(errors))[0]} ({errors[0]})")


def _kept(file: Path, frame_format: FrameFormat) -> bytes | None:
    """A file's own bytes, where they are what is asked for already."""
    if isinstance(frame_format.crop, tuple):
        return None
    try:
        current_limits().check_file(file, is_image=True)
        encoded = file.read_bytes()
        with Image.open(io.BytesIO(encoded), formats=_KEPT_FORMATS) as image:
            fits = image.size == (frame_format.size,) * 2 and image.mode == "RGB"
            if not fits or image.has_transparency_data or image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
                return None
        decode_frame(encoded, frame_format.size)  # refuses 16 bits a channel
    except Exception:  # Pillow's decoders raise nearly anything; `read_image` will tell what is wrong
        return None
    return encoded


def _fit(image: np.ndarray, frame_format: FrameFormat) -> np.ndarray:
    """uint8 [S, S, 3] of uint8 [H, W, 3]."""
    size = (frame_format.size,) * 2
    if frame_format.crop == "center":
        return image if image.shape[:2] == size else resize_image(image, size)
    if isinstance(frame_format.crop, tuple):
        width, height, left, top = frame_format.crop
        image = image[top : top + height, left : left + width]
        if image.shape[:2] != (height, width):
            raise UserError(f"the crop {width}:{height}:{left}:{top} is not inside its frames")
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _encode(image: np.ndarray, encoding: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, encoding, **_OPTIONS[encoding])
    return file.getvalue()
