"""Videos from the disk, one frame at a time: uint8 [H, W, 3] in RGB order, at a constant frame rate.

A *video* is a file (mp4, mov, webm, mkv, avi, gif, ...), an animated image (webp, png, avif), a folder of images in
natural order ("frame_2" before "frame_10"), or a film strip: one image with square frames side by side, as FOMM's
datasets have them. Folders and strips have no clock of their own and count as 25 frames a second.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from motion_transformer_jax.data.animated_image import AnimatedImage, is_animated
from motion_transformer_jax.data.container import DEFAULT_FPS, TimedFrame, VideoContainer, broken_frames
from motion_transformer_jax.data.image import IMAGE_SUFFIXES, describe, image_size, read_image, resize_image
from motion_transformer_jax.data.limits import MediaLimits, applied, current_limits
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".3gp"}
)

_Frame = TypeVar("_Frame")


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself, after its rotation flag and with square pixels.

    Attributes:
        path: Where it is.
        fps: Frames per second at which `read_frames` gives it; the mean, where the rate varies.
        width: Pixels.
        height: Pixels.
        num_frames: About how many frames `read_frames` will give, or None where the file does not say.
        origin: When the first frame is shown, in seconds on the file's own clock, which its sound shares.
        has_clock: Whether it has a clock of its own.
    """

    path: Path
    fps: float
    width: int
    height: int
    num_frames: int | None
    origin: Fraction
    has_clock: bool = True


def probe_video(path: str | Path) -> VideoInfo:
    """Reads a video's header and its first frame.

    Raises:
        UserError: As `read_frames`.
    """
    path, limits = _existing(path), current_limits()
    with closing(_open(path, limits)) as video:
        for _, _, image in video.timed_frames():
            height, width = image.shape[:2]
            origin = video.origin or Fraction(0)
            return VideoInfo(path, float(video.fps), width, height, video.num_frames, origin, video.has_clock)
    raise _no_frames(path, limits)


def read_frames(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    warn: Callable[[str], None] = logger.warning,
) -> Iterator[np.ndarray]:
    """Streams a video's frames; memory does not grow with its length.

    Rotation flags are applied, alpha is laid over white, and frames of oblong pixels (`sample_aspect_ratio`) are
    enlarged along one side, as players do, unless that is absurd or over the limit of pixels. The frames come at a
    constant rate: at each instant the frame nearest in time, so that the duration is kept where the file's own rate
    varies. Frames of another size than the first are brought to it. A broken frame is skipped (where the file has a
    clock, a neighbour stands in its place) and a truncated file gives its readable part; either is told in one warning
    at the end.

    Args:
        path: A video file, an animated image, a folder of frames, or a film strip.
        size: (height, width) in pixels to bring frames to, as `resize_image` does: centre crop, then Lanczos. None
            keeps their own size.
        fps: Frames per second to resample to; None keeps the file's (mean) rate.
        start, end: Seconds from the first frame, rounded to whole frames; frames in [start, end) are given, at least
            one. None: to the end.
        warn: Takes the warning.

    Yields:
        uint8 [H, W, 3], RGB.

    Raises:
        UserError: The file is missing, is no video, is over the `MediaLimits`, or has no readable frame, or none after
            `start`. Only a missing file is reported by the call itself; the rest as the frames are drawn.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"size must be positive, got {size}")
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    if start < 0 or (end is not None and end <= start):
        raise ValueError(f"start must not be negative and end must be after it, got {start} and {end}")
    return _stream(_existing(path), size, fps, start, end, warn, current_limits())


def frame_span(start: float, end: float | None, fps: float | Fraction) -> tuple[int, int | None]:
    """Index of the first frame that `read_frames` gives of a video at that rate, and how many at most, None: all."""
    first = round(Fraction(start) * Fraction(fps))
    return first, None if end is None else max(1, round(Fraction(end) * Fraction(fps)) - first)


def list_videos(folder: str | Path) -> list[Path]:
    """Lists the videos in a folder: files, animated images, film strips and folders of frames, in natural order.

    Hidden files, and still images that are no strips, are left out; damaged and empty videos are not.

    Raises:
        UserError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; expected a folder of videos")
    return [path for path in _visible(folder) if _is_video(path)]


def list_frames(folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Lists the images in a folder of frames, those of such suffixes, in natural order, without hidden files.

    Raises:
        UserError: The folder cannot be listed.
    """
    return [path for path in _visible(folder) if path.suffix.lower() in suffixes]


def at_constant_rate(timed_frames: Iterable[tuple[Fraction, Fraction, _Frame]], fps: Fraction) -> Iterator[_Frame]:
    """Resamples frames to a constant rate: at each multiple of 1/fps the frame nearest in time.

    Args:
        timed_frames: (start, duration, frame); starts in seconds, increasing from 0.
        fps: Frames per second of the result.

    Yields:
        round(total duration × fps) frames, at least one if there is any.
    """
    frame, start, end, count = None, None, Fraction(0), 0
    for next_start, duration, next_frame in timed_frames:
        while start is not None and count / fps < (start + next_start) / 2:
            yield frame
            count += 1
        frame, start, end = next_frame, next_start, next_start + duration
    while start is not None and (count == 0 or (count + Fraction(1, 2)) / fps <= end):
        yield frame
        count += 1


def _stream(
    path: Path,
    size: tuple[int, int] | None,
    fps: float | None,
    start: float,
    end: float | None,
    warn: Callable[[str], None],
    limits: MediaLimits,
) -> Iterator[np.ndarray]:
    with closing(_open(path, limits)) as video:
        rate = video.fps if fps is None else Fraction(fps)
        first, most = frame_span(start, end, rate)
        since, count = first / rate, 0
        shown = at_constant_rate(_shown_since(video.timed_frames(since), since), rate)
        for count, image in enumerate(islice(shown, most), 1):
            limits.check_length(path, frames=count, seconds=count / rate)
            size = size or image.shape[:2]
            yield image if image.shape[:2] == tuple(size) else resize_image(image, size)
        if not count:
            raise _nothing_since(path, start) if start else _no_frames(path, limits)
        complaints = [] if count == most else video.complaints()
    if complaints:
        warn(f"{path}: {'; '.join(complaints)}")


def _shown_since(timed_frames: Iterable[TimedFrame], since: Fraction) -> Iterator[TimedFrame]:
    """Frames from the one shown at `since` on, which gets a start of 0 or less; the clock begins then."""
    shown = None
    for start, duration, image in timed_frames:
        if start > since and shown is not None:
            yield shown
            shown = None
        if start > since:
            yield start - since, duration, image
        else:
            shown = start - since, duration, image
    if shown is not None and shown[0] + shown[1] > 0:
        yield shown


def _nothing_since(path: Path, start: float) -> UserError:
    return UserError(f"{path} ends before {start:g} seconds; choose an earlier start")


def _existing(path: str | Path) -> Path:
    if not os.path.exists(path):
        raise UserError(f"there is no file or folder {path}; expected a video, a folder of frames or a film strip")
    return Path(path)


def _no_frames(path: Path, limits: MediaLimits) -> UserError:
    if path.is_dir():
        return UserError(f"the folder {path} holds no image; expected frames of a video: {describe(IMAGE_SUFFIXES)}")
    return UserError(
        f"{path} has no readable frame of {limits.max_pixels:,} pixels or fewer; check that it is a video and that the "
        "file is whole, or raise --max-pixels if you trust it"
    )


def _open(path: Path, limits: MediaLimits) -> "VideoContainer | AnimatedImage | _Images":
    if path.is_dir():
        return _Images(path, limits)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return VideoContainer(path, limits)
    with applied(limits):
        animated = is_animated(path)
    return AnimatedImage(path, limits) if animated else _Images(path, limits)


def _natural_key(path: Path) -> tuple:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isascii() and part.isdigit() else part for part in parts], path.name


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_natural_key)
    except OSError as error:
        raise UserError(f"cannot list the folder {folder} ({error.strerror}); check its permissions") from error


def _strip_length(height: int, width: int) -> int:
    return width // height if width % height == 0 else 1


def _is_video(path: Path) -> bool:
    if path.is_dir():
        return True
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return path.suffix.lower() in VIDEO_SUFFIXES
    try:
        return _strip_length(*image_size(path)) >= 2 or is_animated(path)
    except UserError:  # a damaged image; whoever reads it will say so
        return True


class _Images:
    """A folder of frames or a film strip. An image that is no strip is a video of one frame."""

    has_clock = False
    fps = DEFAULT_FPS
    origin = Fraction(0)

    def __init__(self, path: Path, limits: MediaLimits):
        self._path, self._limits = path, limits
        self._files = list_frames(path) if path.is_dir() else None
        with applied(limits):
            self.num_frames = len(self._files) if self._files is not None else _strip_length(*image_size(path))
        limits.check_length(path, frames=self.num_frames)
        self._broken = 0

    def timed_frames(self, since: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        for index, image in enumerate(self._images()):
            yield index / self.fps, 1 / self.fps, image

    def complaints(self) -> list[str]:
        return broken_frames(self._broken)

    def close(self) -> None:
        """Each image was closed as it was read."""

    def _images(self) -> Iterator[np.ndarray]:
        if self._files is None:
            yield from np.split(self._read(self._path), self.num_frames, axis=1)
            return
        first_error = None
        for file in self._files:
            try:
                image = self._read(file)
            except UserError as error:
                first_error = first_error or error
                self._broken += 1
            else:
                yield image
        if first_error and self._broken == len(self._files):
            raise first_error

    def _read(self, file: Path) -> np.ndarray:
        with applied(self._limits):  # of when the video was opened, whoever draws its frames
            return read_image(file)
