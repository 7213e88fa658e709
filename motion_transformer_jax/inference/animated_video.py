"""Animation from files to files: images and a driving video in, a result for each image out."""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from motion_transformer_jax.data.image import image_size, read_image, resize_image
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.animated_frame import AnimatedFrame, DrivingFrame
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.crop import check_crop
from motion_transformer_jax.inference.driving import DrivingVideo, open_driving
from motion_transformer_jax.inference.live import Latency, LiveDriving, is_live
from motion_transformer_jax.inference.options import PLAIN, AnimationOptions
from motion_transformer_jax.inference.outputs import (
    check_replaceable,
    find_sources,
    is_single,
    is_still,
    made_folder,
    name_results,
    needs_a_video,
    write_result,
)
from motion_transformer_jax.inference.retarget import Mode, nearest_frame, no_driving_frames
from motion_transformer_jax.inference.smoothing import smoothed
from motion_transformer_jax.inference.source import Source

logger = logging.getLogger(__name__)

# Called for each finished frame: its index, how many there will be (None: nobody knows), what is written of it, uint8
# [H, W, 3], and what is behind that.
OnFrame = Callable[[int, int | None, np.ndarray, AnimatedFrame], None]


@dataclass
class Summary:
    """What was done.

    Attributes:
        out: What was written.
        frames: Frames written.
        seconds: From the first use of the model to the last frame: compilation, reading and encoding included.
        frames_per_sec: From the end of the first batch, with which the model was compiled; None where there was no
            other.
        best_frame: Driving frame that was chosen automatically, else None.
        latency: Of live frames, else None.
    """

    out: str | Path
    frames: int = 0
    seconds: float = 0.0
    frames_per_sec: float | None = None
    best_frame: int | None = None
    latency: Latency | None = None


def animate_video(
    create_animator: Callable[[], Animator],
    source: str | Path,
    driving: str | Path,
    out: str | Path,
    options: AnimationOptions = PLAIN,
    *,
    on_frame: OnFrame | None = None,
    on_read: Callable[[], None] = lambda: None,
) -> Summary:
    """Animates the image `source` by the video `driving` and writes `out`, whole or not at all.

    All files are looked at before the model is asked for. On a terminal a bar shows the progress.

    Args:
        create_animator: Gives the engine, such as `lambda: Animator.load(folder)`; called once. Live frames want one of
            batch size 1.
        source: An image of any size.
        driving: As `open_driving` takes it.
        out: As `write_result` takes it.
        options: How.
        on_frame: Called for each finished frame, before it is written; what it raises ends the animation.
        on_read: As `open_driving` takes it: may end the animation between two finished frames, and before the first.

    Raises:
        UserError: An input cannot be read, the output cannot be written, or the options do not fit them.
    """
    work = _Work(create_animator, open_driving(driving, options, on_read=on_read), options, on_frame)
    _check_distinct(out, source, driving)
    check_replaceable(out, overwrite=options.overwrite)
    return work.animate(source, out, one_of_many=False)


def animate_sources(
    create_animator: Callable[[], Animator],
    sources: Sequence[str | Path],
    driving: str | Path,
    folder: str | Path,
    options: AnimationOptions = PLAIN,
    *,
    form: str | None = None,
    on_frame: OnFrame | None = None,
) -> list[Summary]:
    """Animates many images by one driving video, one after the other; its motions are estimated once and kept.

    Args:
        sources: Images, and folders of images. All are read before the first is animated; a damaged one of a folder is
            left out, with a warning.
        folder: Of the results, each named after its source. It is made if it is missing; results of those names are
            replaced, and other files stay.
        form: One of `FORMATS`: the results' ending, or "frames" for a folder of PNG frames each; None: mp4, and png for
            a still driving image.
        create_animator, driving, options, on_frame: As `animate_video` takes them; frames are counted for each source.

    Raises:
        UserError: As `animate_video`. Results before the one that failed stay.
    """
    if is_live(driving):
        raise UserError("live frames move one source; give a single image")
    if is_single(folder):
        raise UserError(f"several sources have several results; give a folder for them instead of {folder}")
    images, video = _readable(find_sources(sources), sources), open_driving(driving, options)
    work = _Work(create_animator, video, options, on_frame)
    outs = name_results(images, folder, form or ("png" if video.num_frames == 1 else "mp4"))
    for image, out in zip(images, outs, strict=True):
        check_crop(options.crop, image_size(image), str(image))
        _check_distinct(out, image, driving)
        check_replaceable(out, overwrite=options.overwrite)
    with made_folder(folder):
        return [work.animate(image, out, one_of_many=True) for image, out in zip(images, outs, strict=True)]


def _readable(images: Sequence[Path], named: Sequence[str | Path]) -> list[Path]:
    """The images that can be read.

    Raises:
        UserError: One cannot be read that was named itself, or none can.
    """
    readable, complaint, named = [], None, set(map(Path, named))
    for image in images:
        try:
            read_image(image)
        except UserError as error:
            if image in named:
                raise
            logger.warning("%s; it is left out", error)
            complaint = complaint or error
        else:
            readable.append(image)
    if not readable:
        raise complaint
    return readable


class _Work:
    """One driving video, for one source or several."""

    def __init__(
        self,
        create_animator: Callable[[], Animator],
        driving: DrivingVideo | LiveDriving,
        options: AnimationOptions,
        on_frame: OnFrame | None,
    ):
        self._create_animator = cache(create_animator)
        self._driving, self._options, self._on_frame = driving, options, on_frame
        self._kept: list[DrivingFrame] | None = None
        if options.best_frame not in (None, 0, "auto") and options.mode in (None, "relative"):
            driving.require_frame(options.best_frame)

    def animate(self, path: str | Path, out: str | Path, *, one_of_many: bool) -> Summary:
        if is_still(out) and self._driving.num_frames != 1:
            raise needs_a_video(out)
        source, summary = Source.open(path, self._options), Summary(out)
        # The writer looks at the output's name and folder before it draws the first frame.
        write_result(
            out,
            self._finished_frames(source, summary, one_of_many),
            fps=self._driving.fps,
            sound=self._driving.sound,
            lossless=self._options.lossless,
            label=self._options.label,
            overwrite=self._options.overwrite,
        )
        return summary

    def _finished_frames(self, source: Source, summary: Summary, one_of_many: bool) -> Iterator[np.ndarray]:
        animator = self._create_animator()
        start, live = time.monotonic(), isinstance(self._driving, LiveDriving)
        animated = self._animate(animator, source, summary, one_of_many)
        description = f"animating {Path(summary.out).name}" if one_of_many else "animating"
        progress = _with_progress(animated, self._driving.num_frames, description)
        finished = ((source.finish(frame), frame) for frame in progress)
        for image, frame in self._driving.follow(finished) if live else finished:
            if self._on_frame is not None:
                self._on_frame(summary.frames, self._driving.num_frames, image, frame)
            yield image
            summary.frames += 1
            if summary.frames == animator.batch_size:
                first_batch_done = time.monotonic()
        end, later_frames = time.monotonic(), summary.frames - animator.batch_size
        summary.seconds = end - start
        if later_frames > 0:
            summary.frames_per_sec = later_frames / (end - first_batch_done)
        summary.latency = self._driving.latency() if live else None

    def _animate(
        self, animator: Animator, source: Source, summary: Summary, one_of_many: bool
    ) -> Iterator[AnimatedFrame]:
        options, mode = self._options, self._choose_mode(animator)
        best_frame = options.best_frame if mode == "relative" else None
        state = animator.encode_source(source.image)
        view_px = source.view_px(animator.image_size) if options.view == "side-by-side" else None
        if one_of_many or best_frame not in (None, 0):
            driving = self._keep_motions(animator, view_px)
        else:
            driving = self._track(animator, view_px)
        if best_frame == "auto":
            best_frame = summary.best_frame = nearest_frame(state.motion, (frame.motion for frame in self._kept))
        if best_frame:
            initial = self._kept[best_frame].motion
        else:
            first = next(driving, None)
            if first is None:
                raise no_driving_frames()
            initial, driving = first.motion, chain([first], driving)
        return animator.animate_tracked(
            state, driving, initial, mode=mode, adapt_scale=options.adapt_scale, multiply=options.multiply
        )

    def _choose_mode(self, animator: Animator) -> Mode:
        mode, options = animator.choose_mode(self._options.mode), self._options
        if options.mode is None and mode == "relative" and self._driving.num_frames == 1:
            mode = "absolute"  # a still has no change that could be carried over
        if mode != "relative" and (options.best_frame is not None or options.adapt_scale or options.multiply != 1):
            logger.warning("a best frame, an adapted scale and multiplied motion act in relative mode only; ignored")
        return mode

    def _track(self, animator: Animator, view_px: int | None = None) -> Iterator[DrivingFrame]:
        """The driving frames with their motions; with `view_px`, for a view that shows them so high."""
        tracked = animator.track(self._driving.frames) if view_px is None else self._track_sharp(animator, view_px)
        return smoothed(tracked, self._driving.fps) if self._options.smooth else tracked

    def _track_sharp(self, animator: Animator, view_px: int) -> Iterator[DrivingFrame]:
        waiting: deque[np.ndarray] = deque()  # no more than the engine has under way

        def frames() -> Iterator[np.ndarray]:
            for frame in self._driving.frames():
                waiting.append(_view(frame, view_px))
                yield frame

        for frame in animator.track(frames):
            yield replace(frame, image=waiting.popleft())

    def _keep_motions(self, animator: Animator, view_px: int | None) -> Iterator[DrivingFrame]:
        """As `_track`, with motions that are estimated once; pictures are read again where somebody sees them."""
        if self._kept is None:
            tracked = _with_progress(self._track(animator), self._driving.num_frames, "following the driving video")
            self._kept = [replace(frame, image=None) for frame in tracked]
        if view_px is None and self._on_frame is None:
            return iter(self._kept)
        shown_px = view_px or animator.image_size
        pictures = (_view(frame, shown_px) for frame in self._driving.frames(warn=_ignore))
        return (replace(frame, image=picture) for frame, picture in zip(self._kept, pictures, strict=False))


def _view(frame: np.ndarray, most_px: int) -> np.ndarray:
    """The square in a frame's middle, at its own resolution, but no more pixels high than are shown."""
    side = min(*frame.shape[:2], most_px)
    return resize_image(frame, (side, side))


def _ignore(_warning: str) -> None:
    """What is wrong with a damaged video was told when it was read first."""


def _check_distinct(out: str | Path, *inputs: str | Path) -> None:
    for path in inputs:
        if not (os.path.exists(path) and os.path.exists(out)):
            continue
        if os.path.samefile(path, out) or Path(out).resolve() in Path(path).resolve().parents:
            raise UserError(f"the output {out} would replace the input {path}; choose another name")


def _with_progress(items: Iterable, total: int | None, description: str) -> Iterator:
    with logging_redirect_tqdm() if sys.stderr.isatty() else nullcontext():
        yield from tqdm(items, description, total, unit="frame", dynamic_ncols=True, disable=None)
