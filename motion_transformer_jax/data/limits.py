"""How much a media file may ask for: limits that every reader of images and videos keeps.

A file of a few kilobytes can claim an image of gigabytes or a video of years. What it claims is compared with the
limits before memory is taken for it, and what it then gives is counted.

    with applied(MediaLimits(max_pixels=20_000**2)):
        image = read_image(path)
"""

import contextlib
import contextvars
import dataclasses
import os
import stat
from collections.abc import Iterator

from motion_transformer_jax.errors import UserError

# No image file needs more: four channels of 16 bits without compression, and what is told about the image.
_BYTES_PER_PIXEL = 8
_METADATA_BYTES = 16 * 2**20


@dataclasses.dataclass(frozen=True)
class MediaLimits:
    """The most that one file may hold; the defaults let a camera's video of an hour pass.

    Attributes:
        max_pixels: Of an image, a film strip as a whole, or a video's frame.
        max_frames: Of a video, at the rate at which it is read.
        max_seconds: Of a video.
        max_bytes: Of a file on disk; an image's is also held to 8 bytes a pixel of `max_pixels`, and 16 MiB.
    """

    max_pixels: int = 8192 * 8192
    max_frames: int = 1_000_000
    max_seconds: float = 6 * 3600
    max_bytes: int = 64 * 2**30

    def check_file(self, path: str | os.PathLike, *, is_image: bool = False) -> None:
        """Looks at a file before it is opened; whether there is one at all is for its reader to say.

        Raises:
            UserError: It is too large, or no regular file: a pipe or a device may never end.
        """
        try:
            status = os.stat(path)
        except OSError:
            return
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise UserError(f"{path} is a pipe or a device; expected a file: copy it into one")
        most = min(self.max_bytes, _BYTES_PER_PIXEL * self.max_pixels + _METADATA_BYTES) if is_image else self.max_bytes
        if stat.S_ISREG(status.st_mode) and status.st_size > most:
            flags = "--max-bytes and --max-pixels" if is_image else "--max-bytes"
            raise UserError(f"{path} has {status.st_size:,} bytes, over the limit of {most:,}; {_remedy(flags)}")

    def check_size(self, path: str | os.PathLike, width: int, height: int) -> None:
        """Raises a UserError for an image or frame with too many pixels."""
        if width * height > self.max_pixels:
            raise UserError(
                f"{path} has images of {width}x{height} pixels, over the limit of {self.max_pixels:,}; "
                f"{_remedy('--max-pixels')}"
            )

    def check_length(self, path: str | os.PathLike, *, frames: int | None = 0, seconds: float | None = 0) -> None:
        """Raises a UserError for a video that is too long; None: it does not say."""
        if frames is not None and frames > self.max_frames:
            raise UserError(f"{path} has more frames than the limit of {self.max_frames:,}; {_remedy('--max-frames')}")
        if seconds is not None and seconds > self.max_seconds:
            raise UserError(
                f"{path} lasts longer than the limit of {self.max_seconds:g} seconds; {_remedy('--max-seconds')}"
            )


def _remedy(flags: str) -> str:
    return f"take a smaller one, or raise {flags} if you trust it"


DEFAULT_LIMITS = MediaLimits()
_current: contextvars.ContextVar[MediaLimits] = contextvars.ContextVar("media_limits", default=DEFAULT_LIMITS)


def current_limits() -> MediaLimits:
    """The limits that readers keep at present."""
    return _current.get()


@contextlib.contextmanager
def applied(limits: MediaLimits) -> Iterator[None]:
    """Makes every reader that is called inside the body keep these limits."""
    token = _current.set(limits)
    try:
        yield
    finally:
        _current.reset(token)
