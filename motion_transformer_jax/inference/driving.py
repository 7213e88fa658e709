"""The driving video, as the options want it: at one rate, from start to end, cropped, with its sound."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from motion_transformer_jax.data.sound import Sound, has_sound
from motion_transformer_jax.data.video import VideoInfo, frame_span, probe_video, read_frames
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.crop import BoxPath, choose_box, still_path
from motion_transformer_jax.inference.following import follow_subject
from motion_transformer_jax.inference.live import LiveDriving, is_live
from motion_transformer_jax.inference.options import AnimationOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DrivingVideo:
    """A file, a folder of frames or a film strip, read as often as needed.

    Attributes:
        path: Where it is.
        fps: Frames per second.
        num_frames: About how many there are; None where the file does not say.
        sound: What is heard with them, if anything.
        start, end: The part that is taken, in seconds.
        resample_fps: Rate that it is brought to; None keeps its own.
        boxes: What its frames are cropped to; None leaves them whole.
        on_read: Called for each frame that is read, however often; what it raises ends the reading.
    """

    path: Path
    fps: float
    num_frames: int | None
    sound: Sound | None
    start: float
    end: float | None
    resample_fps: float | None
    boxes: BoxPath | None
    on_read: Callable[[], None]

    def frames(self, *, warn: Callable[[str], None] = logger.warning) -> Iterator[np.ndarray]:
        """Streams uint8 [H, W, 3] from the first on; `warn` takes what is wrong with the file."""
        frames = read_frames(self.path, fps=self.resample_fps, start=self.start, end=self.end, warn=warn)
        for index, frame in enumerate(frames):
            self.on_read()
            yield frame if self.boxes is None else self.boxes.at(index).cut(frame)

    def require_frame(self, index: int) -> None:
        """Raises a UserError if there is no frame of that number."""
        count = sum(1 for _ in islice(self.frames(), index + 1))
        if count <= index:
            raise UserError(
                f"the best frame is to be {index} but {self.path} has {count} frames; expected 0 to {count - 1} or auto"
            )


def open_driving(
    path: str | Path, options: AnimationOptions, *, on_read: Callable[[], None] = lambda: None
) -> DrivingVideo | LiveDriving:
    """Looks at a driving video and finds what there is to know before its frames are drawn.

    Args:
        path: A video, a folder of frames or a film strip; "-" for raw frames from the standard input; or a camera's
            device, /dev/video0.
        options: Of these fps, start, end, sound, driving_crop and driving_size matter.
        on_read: Called for each frame that is read of a file, here already where the crop is looked for; what it raises
            ends the reading.

    Raises:
        UserError: It cannot be read, or the options do not fit it.
    """
    if is_live(path):
        return LiveDriving.open(str(path), options)
    if options.driving_size is not None:
        raise UserError(f"a driving size is for raw frames and cameras; {path} has its own")
    if options.live:
        raise UserError(f"only raw frames and cameras can be live; {path} has all its frames at once, leave out --live")
    info = probe_video(path)
    fps = options.fps or info.fps
    # Frames without a clock are read at one rate and shown at another, in whose seconds start and end are told.
    pace = 1.0 if info.has_clock else fps / info.fps
    start, end = options.start * pace, None if options.end is None else options.end * pace
    read_fps = fps if info.has_clock else info.fps
    first, count = frame_span(start, end, read_fps)
    sound = None
    if info.has_clock and options.sound and has_sound(info.path):
        sound = Sound(info.path, info.origin + Fraction(first) / Fraction(read_fps))
    whole = DrivingVideo(
        path=info.path,
        fps=fps,
        num_frames=_expected_frames(info, read_fps, first, count),
        sound=sound,
        start=start,
        end=end,
        resample_fps=options.fps if info.has_clock else None,
        boxes=None,
        on_read=on_read,
    )
    return whole if options.driving_crop == "none" else _cropped(whole, options)


def _expected_frames(info: VideoInfo, fps: float, first: int, count: int | None) -> int | None:
    if info.num_frames is None:
        return count
    rest = round(info.num_frames * fps / info.fps) - first
    if rest < 1:
        raise UserError(f"{info.path} is {info.num_frames / info.fps:.1f} seconds long; choose an earlier start")
    return rest if count is None else min(rest, count)


def _cropped(video: DrivingVideo, options: AnimationOptions) -> DrivingVideo:
    frames, name = video.frames(warn=lambda _: None), os.fspath(video.path)  # it warns when they are animated
    if options.driving_crop == "auto":
        return replace(video, boxes=follow_subject(frames, video.fps, name))
    first = next(frames)
    return replace(video, boxes=still_path(choose_box(options.driving_crop, first, name), first.shape[:2]))
