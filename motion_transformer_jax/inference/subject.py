"""Where a picture's subject is: a face, found by dlib where it is installed, else what stands out from the border."""

import functools
import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from motion_transformer_jax.detection.faces import FaceDetector
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

# How crops like VoxCeleb's hold a face, measured on a few: the side is twice the landmarks' extent (brows to chin, ear
# to ear), and the landmarks' middle lies a tenth of the side below the square's.
_FACE_MARGIN = 2.0
_FACE_BELOW_MIDDLE = 0.1
# dlib finds faces from 80 pixels on: an eighth of the longer side.
_FACE_SEARCH_PX = 640
_SALIENCY_PX = 64
_MIDDLE_WEIGHT = 0.1


class Square(NamedTuple):
    """A square of a picture; it may reach beyond it. The middle and the side, in pixels."""

    x: float
    y: float
    side: float


def find_subject(frames: Sequence[np.ndarray]) -> tuple[Square, str]:
    """The square around the subject, the same for all frames.

    Where faces are found, it holds the largest one of each frame with hair and shoulders. Else it is the largest square
    of the picture, moved to where it differs most from the picture's border and, in a video, moves most.

    Args:
        frames: uint8 [H, W, 3] of one size: a picture, or samples of a video.

    Returns:
        The square, and what it is around, in words.
    """
    faces = find_faces(frames)
    return (_around(faces), "the face") if faces else (_largest_square(frames), "what stands out, for want of a face")


def find_faces(frames: Sequence[np.ndarray]) -> list[Square]:
    """A square around each frame's largest face, for the frames that have one; none without the extra [eval]."""
    try:
        detector = _face_detector()
    except UserError as error:
        logger.info("%s", error)
        return []
    squares = []
    for frame in frames:  # one at a time, since each is enlarged
        scale = _FACE_SEARCH_PX / max(frame.shape[:2])
        found = detector.detect(_on_square(frame, scale)[None])
        if found.visible.all():
            low, high = found.points[0].min(0), found.points[0].max(0)
            side = _FACE_MARGIN * (high - low).max()
            x, y = (low + high + 1) / 2 - (0, _FACE_BELOW_MIDDLE * side)
            squares.append(Square(x / scale, y / scale, side / scale))
    return squares


@functools.cache
def _face_detector() -> FaceDetector:
    return FaceDetector()


def _on_square(frame: np.ndarray, scale: float) -> np.ndarray:
    """The frame, resized, in the upper left of a black square, which the detector does not crop."""
    height, width = (max(1, round(length * scale)) for length in frame.shape[:2])
    canvas = np.zeros((_FACE_SEARCH_PX, _FACE_SEARCH_PX, 3), np.uint8)
    canvas[:height, :width] = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
    return canvas


def _around(squares: Sequence[Square]) -> Square:
    """The smallest square that holds all of them."""
    x, y, side = np.array(squares).T
    left, top, right, bottom = (x - side / 2).min(), (y - side / 2).min(), (x + side / 2).max(), (y + side / 2).max()
    return Square(float(left + right) / 2, float(top + bottom) / 2, float(max(right - left, bottom - top)))


def _largest_square(frames: Sequence[np.ndarray]) -> Square:
    height, width = frames[0].shape[:2]
    side = min(height, width)
    saliency = _saliency(frames)
    along = saliency.sum(axis=0 if width > height else 1)
    window = max(1, round(len(along) * side / max(height, width)))
    gathered = np.convolve(along, np.ones(window), "valid")  # at each place of the square
    best = np.flatnonzero(gathered >= gathered.max() * (1 - 1e-6))
    middle = (best[len(best) // 2] + window / 2) * max(height, width) / len(along)
    return Square(middle, height / 2, side) if width > height else Square(width / 2, middle, side)


def _saliency(frames: Sequence[np.ndarray]) -> np.ndarray:
    """How much each cell stands out, [h, w]: for being unlike every part of the border, moving, or in the middle."""
    scale = _SALIENCY_PX / max(frames[0].shape[:2])
    height, width = (max(1, round(length * scale)) for length in frames[0].shape[:2])
    small = np.stack([Image.fromarray(frame).resize((width, height), Image.Resampling.BOX) for frame in frames])
    small = ndimage.gaussian_filter(small.astype(np.float32) / 255, (0, 1, 1, 0))
    # Not the lower edge: a figure is often cut by it.
    border = np.concatenate([small[:, 0], small[:, :, 0], small[:, :, -1]], axis=1)
    unlike = np.stack(
        [
            np.linalg.norm(frame[:, :, None] - edge, axis=-1).min(axis=-1)
            for frame, edge in zip(small, border, strict=True)
        ]
    ).mean(axis=0)
    moving = small.std(axis=0).mean(axis=-1)
    y, x = (np.linspace(-1, 1, length) for length in (height, width))
    middle = np.exp(-2 * (x**2 + y[:, None] ** 2))
    return unlike + 2 * moving + _MIDDLE_WEIGHT * middle * (unlike + 2 * moving).mean() + 1e-6 * middle
