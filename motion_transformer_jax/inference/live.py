"""Driving frames as they happen, raw from a pipe or from a camera, and how late the result comes."""

import logging
import os
import queue
import signal
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from motion_transformer_jax.data.camera import read_camera
from motion_transformer_jax.data.container import DEFAULT_FPS
from motion_transformer_jax.data.raw_frames import read_raw_frames
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.crop import Box, Crop, choose_box
from motion_transformer_jax.inference.options import AnimationOptions

logger = logging.getLogger(__name__)

STANDARD_STREAM = "-"
_STANDARD_INPUT = 0  # the file descriptor
_CAMERAS = "/dev/video"
# Frames that are read ahead of the model; what it cannot keep up with waits in the pipe.
_MOST_WAITING = 8
_LOOK_UP_SECS = 0.1

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Latency:
    """How late results are, in seconds from when a driving frame was read to when its result was written.

    Attributes:
        median, percentile_95: Half of the frames, and 95 %, took no longer.
        paused: How long nothing was read, in all, since too many frames waited already. Those that came meanwhile
            waited outside, and are later than their latency says by up to as much.
    """

    median: float
    percentile_95: float
    paused: float


class LiveDriving:
    """What `DrivingVideo` is for videos, for frames that are read once.

    Of a camera, and of a pipe if so wished, only the newest frame counts whenever the model is ready for one; else no
    frame is lost, and what the model cannot keep up with waits in the pipe. Ctrl-C ends the frames, so that the result
    is finished; a second one abandons it.

    Attributes:
        fps: Frames per second of the result.
        num_frames, sound: None; nobody knows how many come, and they are silent.
    """

    num_frames = None
    sound = None

    def __init__(self, name: str, frames: Iterator[np.ndarray], fps: float, crop: Crop, *, newest_only: bool):
        """Reads nothing yet.

        Args:
            name: for messages.
            frames: uint8 [H, W, 3] as they arrive.
            fps: Frames per second of the result.
            crop: As `AnimationOptions.driving_crop`; "auto" looks at the first frame, and stays there.
            newest_only: Leave out frames that nobody waited for, and keep the result at their pace.
        """
        self.name, self.fps, self._crop = name, fps, crop
        self._arrivals = _Arrivals(frames, newest_only=newest_only)
        self._newest_only = newest_only
        self._arrived: deque[float] = deque()
        self._latencies = array("f")

    @classmethod
    def open(cls, path: str, options: AnimationOptions) -> "LiveDriving":
        """The standard input or a camera.

        Raises:
            UserError: The camera cannot be opened, or an option needs what has not happened yet.
        """
        if options.best_frame not in (None, 0) or options.start:
            raise UserError("live frames are read once, from the first on; leave out --best-frame and --start")
        fps = float(options.fps or DEFAULT_FPS)
        if path == STANDARD_STREAM:
            if options.driving_size is None:
                raise UserError("raw frames on the standard input do not tell their size; give --driving-size WxH")
            frames, name = _read_standard_input(options.driving_size), "the standard input"
        else:
            frames, name = read_camera(path, size=options.driving_size, fps=options.fps), path
        if options.end is not None:
            frames = islice(frames, max(1, round(options.end * fps)))
        return cls(name, frames, fps, options.driving_crop, newest_only=options.live or path != STANDARD_STREAM)

    def frames(self) -> Iterator[np.ndarray]:
        """Streams uint8 [H, W, 3], once."""
        box: Box | None = None
        with _ended_by_interrupt() as ended:
            for arrived, frame in self._arrivals:
                if ended.is_set():
                    return
                if box is None and self._crop != "none":
                    box = choose_box(self._crop, frame, self.name, leave_room=True)
                self._arrived.append(arrived)
                yield frame if box is None else box.cut(frame)

    def follow(self, results: Iterable[_Item]) -> Iterator[_Item]:
        """Gives on the results, one for each frame and in their order, and measures how late they are.

        Where only the newest frames count, results are repeated or left out, so that they last as long as the frames.
        """
        first, given = None, 0
        for result in results:
            arrived = self._arrived.popleft()
            first = arrived if first is None else first
            due = round((arrived - first) * self.fps) + 1 - given if self._newest_only else 1
            for _ in range(due):
                yield result
            given += max(due, 0)
            self._latencies.append(time.monotonic() - arrived)

    def latency(self) -> Latency | None:
        """Of the results so far."""
        if not self._latencies:
            return None
        median, high = map(float, np.percentile(self._latencies, (50, 95)))
        return Latency(median, high, 0.0 if self._newest_only else self._arrivals.paused_secs)


def is_live(path: str | Path) -> bool:
    """Whether a driving video's name stands for the standard input or for a camera."""
    return str(path) == STANDARD_STREAM or str(path).startswith(_CAMERAS)


class _Arrivals:
    """Draws items in a thread as they come, and gives each with the time at which it came.

    Attributes:
        paused_secs: How long the thread has drawn nothing, in all, since nobody took what it had.
    """

    def __init__(self, items: Iterator[_Item], *, newest_only: bool):
        """Draws nothing yet.

        Args:
            items: Drawn by the thread alone.
            newest_only: Give only the newest item each time; else every one, and pause where too many wait.
        """
        self.paused_secs = 0.0
        self._items, self._newest_only = items, newest_only
        self._waiting: queue.Queue = queue.Queue(maxsize=1 if newest_only else _MOST_WAITING)
        self._left = threading.Event()

    def __iter__(self) -> Iterator[tuple[float, _Item]]:
        """Streams (seconds of the monotonic clock, item), once; raises what drawing raised."""
        threading.Thread(target=self._draw, daemon=True).start()
        try:
            while True:
                arrival, error = self._waiting.get()
                if error is not None:
                    raise error
                if arrival is None:
                    return
                yield arrival
        finally:
            self._left.set()

    def _draw(self) -> None:
        error = None
        try:
            for item in self._items:
                arrived = time.monotonic()
                if self._newest_only:
                    with suppress(queue.Empty):
                        self._waiting.get_nowait()
                self._offer((arrived, item), None)
                self.paused_secs += time.monotonic() - arrived
                if self._left.is_set():
                    return
        except Exception as fault:
            error = fault
        self._offer(None, error)

    def _offer(self, arrival: tuple[float, _Item] | None, error: Exception | None) -> None:
        """Waits for room, but no longer than somebody takes items."""
        while not self._left.is_set():
            with suppress(queue.Full):
                self._waiting.put((arrival, error), timeout=_LOOK_UP_SECS)
                return


def _read_standard_input(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """As `read_raw_frames`, from a stream of its own: Python's could not be closed at exit while a thread reads it."""
    try:
        stream = os.fdopen(os.dup(_STANDARD_INPUT), "rb")
    except OSError as error:
        raise UserError(f"the standard input cannot be read ({error.strerror}); pipe raw frames into it") from error
    with stream:
        yield from read_raw_frames(stream, size)


@contextmanager
def _ended_by_interrupt() -> Iterator[threading.Event]:
    """The event is set by the first Ctrl-C, which otherwise does nothing; where signals are another's affair, never."""
    ended = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return

    def end(*_) -> None:
        signal.signal(signal.SIGINT, before)
        logger.info("finishing after the next frame; Ctrl-C again abandons the result")
        ended.set()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGINT, before)
