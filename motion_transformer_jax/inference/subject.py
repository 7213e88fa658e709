"""Where a picture's subject is: a face, found by dlib where it is installed, else what stands out from the border."""

import functools
import logging
import math
from collections.abc import Iterator
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
# The subject is looked for on about as many cells as a square of this side has; no side has more than the other number.
_CELLS, _MOST_CELLS = 64, 256
_MIDDLE_WEIGHT = 0.1
_BACKGROUND_SAMPLES = 64
# A distance of colours, of which black and white have 1.7: below it nothing stands out.
_LEAST_CONTRAST = 0.05
_OUTLYING = 0.01  # of what stands out, at each end of the subject
_MARGIN = 1.25  # the square's side, in the subject's extents
_LEAST_SHARE = 0.25  # of the largest square's side
_WORTH_SHRINKING = 0.85  # of the largest square's side

STANDING_OUT = "what stands out, for want of a face"


class Square(NamedTuple):
    """A square of a picture; it may reach beyond it. The middle and the side, in pixels."""

    x: float
    y: float
    side: float


def find_subject(picture: np.ndarray, *, leave_room: bool = False) -> tuple[Square, str]:
    """The square around a picture's subject.

    Where there are faces, it holds the largest one with hair and shoulders. Else it is the square of the picture that
    differs most from the picture's border, shrunk to what differs and a margin; of a picture that is framed on its
    subject, or in which nothing stands out, the largest square.

    Args:
        picture: uint8 [H, W, 3].
        leave_room: Where there is no face, do not shrink the square, since the subject is going to move.

    Returns:
        The square, and what it is around, in words.
    """
    face = find_face(picture)
    if face is not None:
        return face, "the face"
    [(square, _)] = salient_squares(miniature(picture)[None], picture.shape[:2], shrink=not leave_room)
    return square, STANDING_OUT


def find_face(frame: np.ndarray) -> Square | None:
    """A square around a frame's largest face, if it has one; none without the extra [eval]."""
    detector = _face_detector()
    if detector is None:
        return None
    scale = _FACE_SEARCH_PX / max(frame.shape[:2])
    found = detector.detect(_on_square(frame, scale)[None])
    if not found.visible.all():
        return None
    low, high = found.points[0].min(0), found.points[0].max(0)
    side = _FACE_MARGIN * (high - low).max()
    x, y = (low + high + 1) / 2 - (0, _FACE_BELOW_MIDDLE * side)
    return Square(x / scale, y / scale, side / scale)


@functools.cache
def _face_detector() -> FaceDetector | None:
    try:
        return FaceDetector()
    except UserError as error:
        logger.info("%s", error)
        return None


def _on_square(frame: np.ndarray, scale: float) -> np.ndarray:
    """The frame, resized, in the upper left of a black square, which the detector does not crop."""
    height, width = (max(1, round(length * scale)) for length in frame.shape[:2])
    canvas = np.zeros((_FACE_SEARCH_PX, _FACE_SEARCH_PX, 3), np.uint8)
    canvas[:height, :width] = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
    return canvas


def miniature(frame: np.ndarray) -> np.ndarray:
    """A frame as `salient_squares` wants it, uint8 [h, w, 3], of a few thousand pixels."""
    height, width = frame.shape[:2]
    scale = min(_CELLS / math.sqrt(height * width), _MOST_CELLS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def salient_squares(
    miniatures: np.ndarray, size: tuple[int, int], *, shrink: bool = True
) -> Iterator[tuple[Square, float]]:
    """The square around what stands out in each frame, for being unlike every part of the frame's border, or moving.

    Args:
        miniatures: uint8 [T, h, w, 3], a picture's or those of samples of a video.
        size: (height, width) of the frames, in whose pixels the squares are.
        shrink: To what stands out; else the squares are as large as the frame allows.

    Yields:
        The square, and how clearly something stands out, from 0.
    """
    usual = _smooth(np.median(miniatures[:: 1 + len(miniatures) // _BACKGROUND_SAMPLES], axis=0))
    for frame in map(_smooth, miniatures):
        unlike, changed = _unlike_border(frame), np.linalg.norm(frame - usual, axis=-1)
        # The root, since what the subject has left changes too, but is like the border.
        saliency = unlike + 2 * np.sqrt(unlike * changed)
        square = _largest_square(saliency, size)
        yield _shrunk(square, saliency, size) if shrink else square, float(saliency.max())


def _smooth(image: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(image.astype(np.float32) / 255, (1, 1, 0))


def _unlike_border(image: np.ndarray) -> np.ndarray:
    """Each cell's distance to the border's nearest colour, [h, w]."""
    # Not the lower edge: a figure is often cut by it.
    border = np.concatenate([image[0], image[:, 0], image[:, -1]])
    squares = (image**2).sum(axis=-1, keepdims=True) + (border**2).sum(axis=-1) - 2 * image @ border.T
    return np.sqrt(np.maximum(squares, 0).min(axis=-1))


def _largest_square(saliency: np.ndarray, size: tuple[int, int]) -> Square:
    height, width = size
    side = min(size)
    y, x = (np.linspace(-1, 1, length) for length in saliency.shape)
    middle = np.exp(-2 * (x**2 + y[:, None] ** 2))
    along = (saliency + (_MIDDLE_WEIGHT * saliency.mean() + 1e-6) * middle).sum(axis=0 if width > height else 1)
    window = max(1, round(len(along) * side / max(size)))
    gathered = np.convolve(along, np.ones(window), "valid")  # at each place of the square
    best = np.flatnonzero(gathered >= gathered.max() * (1 - 1e-6))
    centre = (best[len(best) // 2] + window / 2) * max(size) / len(along)
    return Square(centre, height / 2, side) if width > height else Square(width / 2, centre, side)


def _shrunk(square: Square, saliency: np.ndarray, size: tuple[int, int]) -> Square:
    """The square about what stands out in one, if that is much smaller; else one of the same size, in its middle."""
    if saliency.max() < _LEAST_CONTRAST:
        return square
    standing_out = np.where(saliency > _threshold(saliency) / 2, saliency, 0)
    places = zip((square.x, square.y), size[::-1], (standing_out.sum(axis=0), standing_out.sum(axis=1)), strict=True)
    (left, right), (top, bottom) = (
        _extent(amounts, centre - square.side / 2, square.side, length) for centre, length, amounts in places
    )
    side = max(_MARGIN * max(right - left, bottom - top), _LEAST_SHARE * square.side)
    return Square(
        (left + right) / 2, (top + bottom) / 2, side if side < _WORTH_SHRINKING * square.side else square.side
    )


def _extent(amounts: np.ndarray, start: float, side: float, length: int) -> tuple[float, float]:
    """From where to where something is within [start, start + side], without what lies far out, in pixels.

    Args:
        amounts: How much there is in each of equal parts of `length` pixels.
    """
    edges = np.linspace(0, length, len(amounts) + 1)
    total = np.append(0, np.cumsum(amounts))
    first, last = np.interp((start, start + side), edges, total)
    low, high = np.interp(first + (last - first) * np.array([_OUTLYING, 1 - _OUTLYING]), total, edges)
    return float(low), float(high)


def _threshold(values: np.ndarray) -> float:
    """What parts values best into two groups: the most variance between them (Otsu, 1979)."""
    values = np.sort(values, axis=None)
    lower, total = np.arange(1, len(values)), np.cumsum(values, dtype=np.float64)
    upper = len(values) - lower
    means = total[:-1] / lower, (total[-1] - total[:-1]) / upper
    return float(values[np.argmax(lower * upper * (means[1] - means[0]) ** 2)])
