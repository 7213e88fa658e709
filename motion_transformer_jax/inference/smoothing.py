"""Motions without jitter: a one-euro filter over keypoints and affines.

Casiez, Roussel and Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems" (CHI
2012): a low-pass filter whose cutoff rises with speed, so that what rests does not tremble and what moves does not lag.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from motion_transformer_jax.inference.animated_frame import DrivingFrame

# Chosen on made-up motion at 25 frames a second: jitter at rest of 0.002 to 0.005 (the frame is [-1, 1]) is halved; of
# a mouth that opens by 0.05 four times a second 84 % are left, 15 ms late.
REST_CUTOFF_HZ = 1.0
CUTOFF_PER_SPEED = 10.0  # Hz, for a speed of 1 a second
_SPEED_CUTOFF_HZ = 6.0
_MATRIX_CUTOFF_PER_SPEED = 3.0  # whose entries tremble and change more


class OneEuroFilter:
    """Filters a sequence of arrays; the elements along the last axes move together and have one speed."""

    def __init__(self, fps: float, *, joint_axes: int, per_speed: float = CUTOFF_PER_SPEED):
        """Starts with no memory.

        Args:
            fps: Arrays in a second.
            joint_axes: How many last axes make one thing: 1 for points [..., 2], 2 for matrices [..., 2, 2].
            per_speed: How much the cutoff rises from `REST_CUTOFF_HZ` with speed.
        """
        self._fps, self._per_speed = fps, per_speed
        self._axes = tuple(range(-joint_axes, 0))
        self._value: np.ndarray | None = None

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """The next array, filtered; the first one is given back as it is.

        A thing that turns by more than a right angle at once (a matrix whose sign an estimator leaves open) is taken as
        new: between it and the one before there is nothing sensible.
        """
        value = np.asarray(value, np.float32)
        if self._value is None:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        change = value - self._value
        turned = len(self._axes) == 2 and (value * self._value).sum(self._axes, keepdims=True) < 0
        self._speed += _weight(_SPEED_CUTOFF_HZ, self._fps) * (np.where(turned, 0, change) * self._fps - self._speed)
        length = np.sqrt((self._speed**2).sum(self._axes, keepdims=True))
        weight = _weight(REST_CUTOFF_HZ + self._per_speed * length, self._fps)
        self._value = self._value + np.where(turned, 1, weight) * change
        return self._value


def smoothed(frames: Iterable[DrivingFrame], fps: float) -> Iterator[DrivingFrame]:
    """Streams driving frames with their motions filtered.

    Args:
        frames: In order of time.
        fps: Frames per second.
    """
    filters = None
    for frame in frames:
        if filters is None:
            filters = jax.tree.map(partial(_filter_for, fps), frame.motion)
        yield replace(frame, motion=jax.tree.map(lambda one, leaf: one(leaf), filters, frame.motion))


def _filter_for(fps: float, values: np.ndarray) -> OneEuroFilter:
    """A filter for keypoints [1, K, 2] or matrices [1, K, 2, 2]."""
    if values.ndim == 3:
        return OneEuroFilter(fps, joint_axes=1)
    return OneEuroFilter(fps, joint_axes=2, per_speed=_MATRIX_CUTOFF_PER_SPEED)


def _weight(cutoff: np.ndarray | float, fps: float) -> np.ndarray | float:
    """Of the new value, in a low-pass filter of that cutoff."""
    return 1 / (1 + fps / (2 * math.pi * cutoff))
