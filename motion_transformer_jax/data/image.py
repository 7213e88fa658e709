"""Single images from and to the disk: uint8 [H, W, 3] in RGB order, whatever the file holds."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from motion_transformer_jax.data.limits import current_limits
from motion_transformer_jax.errors import UserError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

# No others: Pillow would run Ghostscript on PostScript, whatever the file's name.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
# Pillow's own limit is a global; ours, which the user may raise, takes its place while a header is read.
_PILLOW_LIMIT = threading.Lock()
_EXIF_ORIENTATION = 0x0112
_EXIF_SIDEWAYS = (5, 6, 7, 8)


def read_image(path: str | Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Reads one image, upright and without transparency.

    The EXIF orientation is applied, alpha is laid over white, 16-bit grey is scaled to 8 bits.

    Args:
        path: A png, jpg, bmp, webp, tif or ppm file; its name may end in anything.
        size: (height, width) in pixels to bring the image to, as `resize_image` does; None keeps its own.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        UserError: The file is missing, is no image, is damaged, or is over the `MediaLimits`.
    """
    with _opened(path) as image:
        array = np.array(_to_rgb(ImageOps.exif_transpose(image)))
    return array if size is None else resize_image(array, size)


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


def over_white(image: np.ndarray) -> np.ndarray:
    """Lays uint8 [H, W, 4] (RGB and straight alpha) over white; returns uint8 [H, W, 3]."""
    layers = Image.fromarray(image)
    return np.array(Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB"))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Opens an image whose size is within bounds; whatever fails in the body is the file's fault too."""
    limits = current_limits()
    try:
        limits.check_file(path, is_image=True)
        # Pillow warns about odd palettes, metadata and sizes; the limits are ours, and the rest harms nobody.
        with warnings.catch_warnings(action="ignore"), open(path, "rb") as file, _open_header(file) as image:
            limits.check_size(path, *image.size)
            yield image
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"there is no image {path}; check the path") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path} is not an image; expected a png, jpg, bmp, webp, tif or ppm file") from None
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
    if image.has_transparency_data:
        return Image.fromarray(over_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")
