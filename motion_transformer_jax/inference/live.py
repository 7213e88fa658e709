"""Driving frames as they happen, raw from a pipe or from a camera, and how late the result comes."""

import logging
import queue
import signal
import sys
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
_CAMERAS = "/dev/video"

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Latency:
    """Seconds from a driving frame's arrival to its result, written: half of the frames, and 95 %, took no longer."""

    median: float
    percentile_95: float


class LiveDriving:
    """What `DrivingVideo` is for videos, for frames that are read once.

    Of a camera only the newest frame counts whenever the model is ready for one. Ctrl-C ends the frames, so that the
    result is finished; a second one abandons it.

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
        self._arriving = _stamped(frames)
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
            frames, name = read_raw_frames(sys.stdin.buffer, options.driving_size), "the standard input"
        else:
            frames, name = read_camera(path, size=options.driving_size, fps=options.fps), path
        if options.end is not None:
            frames = islice(frames, max(1, round(options.end * fps)))
        return cls(name, frames, fps, options.driving_crop, newest_only=path != STANDARD_STREAM)

    def frames(self) -> Iterator[np.ndarray]:
        """Streams uint8 [H, W, 3], once."""
        box: Box | None = None
        with _ended_by_interrupt() as ended:
            for arrived, frame in _newest(self._arriving) if self._newest_only else self._arriving:
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
        return Latency(*map(float, np.percentile(self._latencies, (50, 95)))) if self._latencies else None


def is_live(path: str | Path) -> bool:
    """Whether a driving video's name stands for the standard input or for a camera."""
    return str(path) == STANDARD_STREAM or str(path).startswith(_CAMERAS)


def _stamped(items: Iterable[_Item]) -> Iterator[tuple[float, _Item]]:
    for item in items:
        yield time.monotonic(), item


def _newest(items: Iterator[_Item]) -> Iterator[_Item]:
    """Draws items in a thread and gives the newest each time; what nobody waited for is left out."""
    waiting: queue.Queue = queue.Queue(maxsize=1)
    left = threading.Event()

    def draw() -> None:
        try:
            for item in items:
                if left.is_set():
                    return
                with suppress(queue.Empty):
                    waiting.get_nowait()
                waiting.put((item, None))  # never waits, since nobody else puts
        except Exception as error:
            waiting.put((None, error))
        else:
            waiting.put((None, None))

    threading.Thread(target=draw, daemon=True).start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        left.set()
        with suppress(queue.Empty):  # so that the thread does not wait for ever
            waiting.get_nowait()


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
