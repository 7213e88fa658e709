"""A square that follows the subject of a driving video, still where the subject hardly leaves its place.

The whole video is read once, but little is kept of it: miniatures and faces of a few frames a second, and of fewer
where it is long.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from motion_transformer_jax.inference.crop import BoxPath
from motion_transformer_jax.inference.subject import STANDING_OUT, Square, find_face, miniature, salient_squares

logger = logging.getLogger(__name__)

_SAMPLE_SECS = 0.2
_MOST_SAMPLES = 4096
_FACE_SHARE = 0.5  # of the samples: fewer faces are taken for mistakes
_FAINT = 0.3  # of what is usual: where less stands out, the subject is not in the frame
_MEDIAN_SAMPLES = 3
_SMOOTHING_SECS = 0.2  # standard deviation
# Of the square's side: an axis along which the subject moves less is not followed, and a square that must grow by less
# to hold the subject's whole way stays still.
_STILL_SHARE = 0.1
_ROOM_SHARE = 0.5


class _Sample(NamedTuple):
    """A frame's number, its miniature uint8 [h, w, 3], and its largest face, if it has one."""

    index: int
    miniature: np.ndarray
    face: Square | None


def follow_subject(frames: Iterable[np.ndarray], fps: float, name: str) -> BoxPath:
    """The square around the subject in every frame of a video: the face, else what stands out or moves.

    Its side is the same in all frames, so that motion inside does not pulse.

    Args:
        frames: uint8 [H, W, 3] of one size, at least one.
        fps: Frames per second.
        name: of the video, for messages.
    """
    samples, size = _sample(frames, max(1, round(fps * _SAMPLE_SECS)))
    indices = tuple(sample.index for sample in samples)
    found, subject = _find_subjects(samples, size)
    step_secs = (indices[1] - indices[0]) / fps if len(indices) > 1 else _SAMPLE_SECS
    centres, side = _steady(_filled(found), size, _SMOOTHING_SECS / step_secs)
    path = BoxPath(indices, tuple(map(tuple, centres.tolist())), side, size)
    first, still = path.at(0), np.ptp(centres, axis=0).max() == 0
    logger.info("%s is cropped to %s, %s %s", name, first, "around" if still else "and from there follows", subject)
    return path


def _sample(frames: Iterable[np.ndarray], step: int) -> tuple[list[_Sample], tuple[int, int]]:
    """Every `step`-th frame, of a long video fewer at even distances, and the last; (height, width) of the frames."""
    samples = []
    for index, frame in enumerate(frames):
        if index % step == 0:
            samples.append(_look(index, frame))
        if len(samples) > _MOST_SAMPLES:
            samples, step = samples[::2], 2 * step
    if samples[-1].index < index:
        samples.append(_look(index, frame))
    return samples, frame.shape[:2]


def _look(index: int, frame: np.ndarray) -> _Sample:
    return _Sample(index, miniature(frame), find_face(frame))


def _find_subjects(samples: list[_Sample], size: tuple[int, int]) -> tuple[list[Square | None], str]:
    """The subject's square in each sample that shows it, and what it is around, in words."""
    faces = [sample.face for sample in samples]
    if len(faces) - faces.count(None) >= _FACE_SHARE * len(faces):
        return faces, "the face"
    squares, clarity = zip(*salient_squares(np.stack([sample.miniature for sample in samples]), size), strict=True)
    least = _FAINT * np.percentile(clarity, 90)
    return [square if clear >= least else None for square, clear in zip(squares, clarity, strict=True)], STANDING_OUT


def _filled(squares: list[Square | None]) -> np.ndarray:
    """(x, y, side) of each square, [T, 3]; of a missing one, what lies between its neighbours."""
    known = [index for index, square in enumerate(squares) if square is not None]
    values = np.array([squares[index] for index in known], float)
    return np.stack([np.interp(np.arange(len(squares)), known, column) for column in values.T], axis=1)


def _steady(squares: np.ndarray, size: tuple[int, int], smoothing: float) -> tuple[np.ndarray, float]:
    """One side for all squares, and where their middles go, without jitter and inside the frames.

    Args:
        squares: [T, 3], (x, y, side) each, in pixels.
        size: (height, width) of the frames.
        smoothing: Standard deviation, in samples.

    Returns:
        Middles [T, 2] and the side, in pixels.
    """
    squares = ndimage.median_filter(squares, (_MEDIAN_SAMPLES, 1), mode="nearest")
    side = min(squares[:, 2].max(), *size)
    centres = np.clip(squares[:, :2], side / 2, np.array(size[::-1]) - side / 2)
    ranges = np.ptp(centres, axis=0)
    if ranges.max() <= min(_ROOM_SHARE * side, min(size) - side):
        side += ranges.max()
        moves = np.array([False, False])
    else:
        moves = ranges > _STILL_SHARE * side
    middle = (centres.min(axis=0) + centres.max(axis=0)) / 2
    return np.where(moves, _smoothed(centres, smoothing), middle), float(side)


def _smoothed(values: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian filter over the first axis, which at the ends goes on as it came.

    What it took away is filtered too and added ("twicing"), else turns would be cut short.
    """
    beyond = int(8 * deviation) + 1
    longer = np.pad(values, ((beyond, beyond), (0, 0)), mode="reflect", reflect_type="odd")
    once = ndimage.gaussian_filter1d(longer, deviation, axis=0)
    return (once + ndimage.gaussian_filter1d(longer - once, deviation, axis=0))[beyond:-beyond]
