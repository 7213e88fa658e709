"""Animation from files to a file: an image and a driving video in, a video out."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from motion_transformer_jax.data.image import IMAGE_SUFFIXES, read_image, resize_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import FPS_RANGE, write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.animator import AnimatedFrame, Animator, Mode

logger = logging.getLogger(__name__)


@dataclass
class Summary:
    """What was done.

    Attributes:
        frames: Frames written.
        seconds: From the first use of the model to the last frame: compilation, reading and encoding included.
        best_frame: Driving frame that was chosen automatically, else None.
    """

    frames: int = 0
    seconds: float = 0.0
    best_frame: int | None = None


def animate_video(
    create_animator: Callable[[], Animator],
    source: str | Path,
    driving: str | Path,
    out: str | Path,
    *,
    mode: Mode | None = None,
    adapt_scale: bool | None = None,
    best_frame: int | Literal["auto"] | None = None,
    side_by_side: bool = False,
    fps: float | None = None,
    on_frame: Callable[[int, int | None, np.ndarray], None] | None = None,
) -> Summary:
    """Animates the image `source` by the video `driving` and writes `out`, whole or not at all.

    All files are looked at before the model is asked for. On a terminal a bar shows the progress.

    Args:
        create_animator: Gives the engine, such as `lambda: Animator.load(folder)`; called once.
        source: An image of any size.
        driving: A video, a folder of frames or a film strip, of any size.
        out: Ends in .mp4, .webm or .gif. A file of that name is replaced.
        mode, adapt_scale, best_frame: As `Animator.animate` takes them; None: the engine's, and frame 0.
        side_by_side: Write source, driving frame and result in a row, at the model's size.
        fps: Frames per second of the result, whose duration stays that of the driving video; a folder of frames or a
            film strip, which have no rate of their own, is taken at this one. None: as the driving video.
        on_frame: Is shown each frame as it is drawn: its index, about how many there will be, or None, and uint8
            [H, W, 3]. What it raises ends the animation, and nothing is written.

    Raises:
        UserError: An input cannot be read, the output cannot be written, or there is no such best frame.
    """
    _check_distinct(out, source, driving)
    image, video = read_image(source), _DrivingVideo.open(driving, fps)
    if best_frame not in (None, 0, "auto"):
        video.require_frame(best_frame)
    summary = Summary()

    def draw_frames() -> Iterator[np.ndarray]:
        animator = create_animator()
        start = time.monotonic()
        fitted = resize_image(image, (animator.image_size, animator.image_size))
        for frame in _animate(animator, fitted, video, summary, mode, adapt_scale, best_frame):
            shown = np.concatenate([fitted, frame.driving, frame.image], axis=1) if side_by_side else frame.image
            if on_frame is not None:
                on_frame(summary.frames, video.num_frames, shown)
            yield shown
            summary.frames += 1
        summary.seconds = time.monotonic() - start

    # The writer looks at the output's name and folder before it draws the first frame.
    write_video(out, draw_frames(), fps=video.fps)
    return summary


def _animate(
    animator: Animator,
    source: np.ndarray,
    video: "_DrivingVideo",
    summary: Summary,
    mode: Mode | None,
    adapt_scale: bool | None,
    best_frame: int | Literal["auto"] | None,
) -> Iterator[AnimatedFrame]:
    def frames() -> Iterator[np.ndarray]:
        return video.frames(animator.image_size)

    mode = animator.choose_mode(mode)
    state = animator.encode_source(source)
    if mode != "relative" and (best_frame is not None or adapt_scale):
        logger.warning("a best frame and an adapted scale act in relative mode only; ignored")
    elif best_frame == "auto":
        with _quiet():
            looked_at = _with_progress(frames(), video.num_frames, "choosing the best frame")
            best_frame = summary.best_frame = animator.find_best_frame(state, looked_at)
    animated = animator.animate_with_details(
        state, frames, mode=mode, adapt_scale=adapt_scale, best_frame=best_frame or 0
    )
    return _with_progress(animated, video.num_frames, "animating")


def _check_distinct(out: str | Path, *inputs: str | Path) -> None:
    for path in inputs:
        if os.path.exists(path) and os.path.exists(out) and os.path.samefile(path, out):
            raise UserError(f"the output {out} would replace the input {path}; choose another name")


@dataclass(frozen=True)
class _DrivingVideo:
    """The driving video at the result's frame rate, to be read as often as needed."""

    path: Path
    fps: float
    resample_fps: float | None
    num_frames: int | None

    @classmethod
    def open(cls, path: str | Path, fps: float | None) -> "_DrivingVideo":
        if fps is not None and not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
            raise UserError(f"the frame rate is {fps:g}; expected between {FPS_RANGE[0]} and {FPS_RANGE[1]}")
        info = probe_video(path)
        has_rate = info.path.is_file() and info.path.suffix.lower() not in IMAGE_SUFFIXES
        if fps is None or not has_rate:
            return cls(info.path, fps or info.fps, None, info.num_frames)
        return cls(info.path, fps, fps, info.num_frames and round(info.num_frames * fps / info.fps))

    def frames(self, size: int | None = None) -> Iterator[np.ndarray]:
        return read_frames(self.path, size=None if size is None else (size, size), fps=self.resample_fps)

    def require_frame(self, index: int) -> None:
        count = sum(1 for _ in islice(self.frames(), index + 1))
        if count <= index:
            raise UserError(
                f"the best frame is to be {index} but {self.path} has {count} frames; expected 0 to {count - 1} or auto"
            )


def _with_progress(items: Iterable, total: int | None, description: str) -> Iterator:
    with logging_redirect_tqdm() if sys.stderr.isatty() else nullcontext():
        yield from tqdm(items, description, total, unit="frame", dynamic_ncols=True, disable=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: those about a damaged video come with its next reading."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
