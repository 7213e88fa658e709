"""Single images from and to the disk: uint8 [H, W, 3] in RGB order, whatever the file holds."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, features

from motion_transformer_jax.data.limits import MediaLimits, current_limits
from motion_transformer_jax.errors import UserError

_AVIF = features.check("avif")  # an option of Pillow's build
# Of images that are frames, strips or stills; a gif is a video to whoever wants one.
IMAGE_SUFFIXES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
IMAGE_SUFFIXES |= {".avif"} if _AVIF else set()
PICTURE_SUFFIXES = IMAGE_SUFFIXES | {".gif"}  # of all that `read_image` reads

# No others: Pillow would run Ghostscript on PostScript, whatever the file's name.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "GIF") + (("AVIF",) if _AVIF else ())
_KINDS = "png, jpg, bmp, webp, tif, ppm, gif or avif" if _AVIF else "png, jpg, bmp, webp, tif, ppm or gif"
# What the values of floating-point grey can be: shares, or those of 8 or 16 bits.
_FLOAT_RANGES = (1, 255, 65535)
# Pillow's own limit is a global; ours, which the user may raise, takes its place while a header is read.
_PILLOW_LIMIT = threading.Lock()
_EXIF_ORIENTATION = 0x0112
_EXIF_SIDEWAYS = (5, 6, 7, 8)


def read_image(path: str | Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Reads one image, upright and without transparency.

    Of an animated image it is the first frame. Else as `image_array`.

    Args:
        path: A png, jpg, bmp, webp, tif, ppm or gif file, or an avif where Pillow knows those; its name may end in
            anything.
        size: (height, width) in pixels to bring the image to, as `resize_image` does; None keeps its own.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        UserError: The file is missing, is no image, is damaged, or is over the `MediaLimits`.
    """
    with _opened(path) as image:
        array = image_array(image)
    return array if size is None else resize_image(array, size)


def image_array(image: Image.Image) -> np.ndarray:
    """A Pillow image as uint8 [H, W, 3], RGB.

    The EXIF orientation is applied, alpha is laid over white, and grey of 16 bits or in floating point (from 0 to 1,
    255 or 65535, the least of them that holds the greatest value) is scaled to 8 bits.

    Raises:
        ValueError: Floating-point grey is outside of those ranges.
    """
    return np.array(_to_rgb(ImageOps.exif_transpose(image)))


def image_size(path: str | Path) -> tuple[int, int]:
    """Returns the (height, width) that `read_image` would give, from the file's header alone.

    Raises:
        UserError: As `read_image`.
    """
    with _opened(path) as image:
        width, height = image.size
        sideways = image.getexif().get(_EXIF_ORIENTATION) in _EXIF_SIDEWAYS
    return (width, height) if sideways else (height, width)


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes with an anti-aliasing Lanczos filter, after a centre crop to the target's aspect ratio.

    Nothing is stretched: a 1280×720 frame brought to a square loses its left and right margins.

    Args:
        image: uint8 [H, W, 3].
        size: (height, width) in pixels.

    Returns:
        uint8 [height, width, 3].
    """
    height, width = size
    have_height, have_width = image.shape[:2]
    scale = min(have_height / height, have_width / width)
    left, top = (have_width - width * scale) / 2, (have_height - height * scale) / 2
    box = (max(left, 0), max(top, 0), min(left + width * scale, have_width), min(top + height * scale, have_height))
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, box=box))


def describe(suffixes: frozenset[str]) -> str:
    """Suffixes in words, for messages."""
    return ", ".join(sorted(suffixes))


def over_white(image: np.ndarray) -> np.ndarray:
    """Lays uint8 [H, W, 4] (RGB and straight alpha) over white; returns uint8 [H, W, 3]."""
    layers = Image.fromarray(image)
    return np.array(Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB"))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    with image_errors(path), open_image(path, current_limits()) as image:
        yield image


@contextmanager
def open_image(path: str | Path, limits: MediaLimits) -> Iterator[Image.Image]:
    """Opens an image whose size is within bounds; what else it raises is for `image_errors` to put into words."""
    limits.check_file(path, is_image=True)
    with open(path, "rb") as file, _open_header(file) as image:
        limits.check_size(path, *image.size)
        yield image


@contextmanager
def image_errors(path: str | Path) -> Iterator[None]:
    """Turns whatever fails in the body, which reads an image and nothing else, into a UserError that names it."""
    try:
        # Pillow warns about odd palettes, metadata and sizes; the limits are ours, and the rest harms nobody.
        with warnings.catch_warnings(action="ignore"):
            yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"there is no image {path}; check the path") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path} is not an image; expected a {_KINDS} file") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"cannot read the image {path} ({reason}); check that the file is whole") from error


def _open_header(file: BinaryIO) -> Image.Image:
    with _PILLOW_LIMIT:
        pillows = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = pillows


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257 + 0.5).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return Image.fromarray(over_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Floating-point grey as uint8."""
    low, high = values.min(), values.max()
    full = next((full for full in _FLOAT_RANGES if low >= 0 and high <= full), None)
    if full is None:
        raise ValueError(f"its floating-point values are {low:g} to {high:g}, expected 0 to 1, 255 or 65535")
    return (values * (255 / full) + 0.5).astype(np.uint8)
