"""Motions without jitter: a one-euro filter over keypoints and affines.

Casiez, Roussel and Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems" (CHI
2012): a low-pass filter whose cutoff rises with speed, so that what rests does not tremble and what moves does not lag.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import jax
import numpy as np

from motion_transformer_jax.inference.animated_frame import DrivingFrame

# In Hz, and Hz per unit of speed, which is in [-1, 1] units a second. At rest the cutoff halves jitter; a mouth that
# opens by 5 % of the frame four times a second still passes.
REST_CUTOFF_HZ = 1.5
CUTOFF_PER_SPEED = 5.0
_SPEED_CUTOFF_HZ = 1.0


class OneEuroFilter:
    """Filters a sequence of arrays; the elements along the last axes move together and have one speed."""

    def __init__(
        self, fps: float, *, joint_axes: int, rest_cutoff: float = REST_CUTOFF_HZ, per_speed: float = CUTOFF_PER_SPEED
    ):
        """Starts with no memory.

        Args:
            fps: Arrays in a second.
            joint_axes: How many last axes make one thing: 1 for points [..., 2], 2 for matrices [..., 2, 2].
            rest_cutoff: Cutoff frequency of what rests, Hz.
            per_speed: How much the cutoff rises with speed.
        """
        self._fps, self._rest_cutoff, self._per_speed = fps, rest_cutoff, per_speed
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
        weight = _weight(self._rest_cutoff + self._per_speed * length, self._fps)
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
        if filters is None:  # keypoints [1, K, 2] and matrices [1, K, 2, 2]
            filters = jax.tree.map(lambda leaf: OneEuroFilter(fps, joint_axes=leaf.ndim - 2), frame.motion)
        yield replace(frame, motion=jax.tree.map(lambda one, leaf: one(leaf), filters, frame.motion))


def _weight(cutoff: np.ndarray | float, fps: float) -> np.ndarray | float:
    """Of the new value, in a low-pass filter of that cutoff."""
    return 1 / (1 + fps / (2 * math.pi * cutoff))
