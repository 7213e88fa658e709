"""Animated images (WebP, PNG, AVIF), one frame at a time: by Pillow, since FFmpeg knows no animated WebP.

GIFs are read as videos, by FFmpeg.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from PIL import Image

from motion_transformer_jax.data.container import TimedFrame, broken_end
from motion_transformer_jax.data.image import image_array, image_errors, open_image
from motion_transformer_jax.data.limits import MediaLimits, applied, current_limits
from motion_transformer_jax.errors import UserError

_FORMATS = ("WEBP", "PNG", "AVIF")
# What browsers take for a frame that claims to last no time.
_LEAST_MS, _DEFAULT_MS = 1, 100


def is_animated(path: Path) -> bool:
    """Whether an image has several frames, by its header.

    Raises:
        UserError: It cannot be read, or is over the `MediaLimits`.
    """
    with image_errors(path), open_image(path, current_limits()) as image:
        return image.format in _FORMATS and image.n_frames - _first(image) > 1


class AnimatedImage:
    """What `VideoContainer` is for videos.

    Attributes:
        fps: Mean frames per second.
        num_frames: Frames that can be decoded.
        origin: 0.
        has_clock: Frames have times.
    """

    origin = Fraction(0)
    has_clock = True

    def __init__(self, path: Path, limits: MediaLimits):
        """Decodes all frames once, since their durations are not told before.

        Raises:
            UserError: Not one can be decoded, or they are over the limits.
        """
        self._path, self._limits = path, limits
        self._claimed, self._durations = 0, []
        seconds = Fraction(0)
        for image in self._images():
            milliseconds = image.info.get("duration", 0)
            self._durations.append(Fraction(milliseconds if milliseconds >= _LEAST_MS else _DEFAULT_MS) / 1000)
            seconds += self._durations[-1]
            limits.check_length(path, seconds=seconds)
        self.num_frames = len(self._durations)
        self.fps = self.num_frames / seconds

    def timed_frames(self, since: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        """Decodes the frames in order of time, from the first on."""
        start = Fraction(0)
        for duration, image in zip(self._durations, self._images(), strict=False):
            yield start, duration, image_array(image)
            start += duration

    def complaints(self) -> list[str]:
        """Says what was wrong with the file."""
        return [] if self.num_frames == self._claimed else [broken_end(self.num_frames, self._claimed, "frames")]

    def close(self) -> None:
        """The file was closed when its frames were read."""

    def _images(self) -> Iterator[Image.Image]:
        """Each frame in turn, loaded; ends before the first that is damaged, unless that is the very first."""
        with ExitStack() as stack:
            with image_errors(self._path), applied(self._limits):
                image = stack.enter_context(open_image(self._path, self._limits))
                first, end = _first(image), image.n_frames
                self._limits.check_length(self._path, frames=end - first)
            self._claimed = end - first
            for index in range(first, end):
                try:
                    with image_errors(self._path):
                        image.seek(index)
                        image.load()
                except UserError:
                    if index == first:
                        raise
                    return
                yield image


def _first(image: Image.Image) -> int:
    """Index of the first frame: a PNG may begin with another picture, for programs that know no animation."""
    return 1 if image.info.get("default_image") else 0
