"""Finds puppets' colour markers in frames, true or reconstructed: no network, no learning.

Where a pixel is like a marker's colour its likeness is 1, and falls to 0 over COLOUR_REACH. A marker is where a disc's
worth of likeness stands out most from what surrounds it: a shirt of that colour is as like, but so are its
surroundings. Frames are searched at 64 pixels or a little more; the disc's centre of mass is then taken at full size.
"""

import numpy as np
from scipy import ndimage

from motion_transformer_jax.data.puppet_markers import MARKED_JOINTS, MARKER_COLOURS, MARKER_RADIUS
from motion_transformer_jax.detection.detectors import Keypoints

COLOUR_REACH = 0.45  # distance in sRGB, channels in [0, 1]; about the least one between two markers
LEAST_CONTRAST = 0.3  # likeness of the disc less that of its surroundings, from which a marker counts as found

_COLOURS = np.float32(list(MARKER_COLOURS.values())) / 255
_SEARCH_SIZE = 64
_FRAMES_AT_ONCE = 32
_DISC_SIDE = np.sqrt(np.pi) * MARKER_RADIUS  # of the square that is as large as the disc, scene units
_WINDOW_RADII = 1.2  # a centre of mass is taken over so many radii


class MarkerDetector:
    """Finds the discs that `PuppetVideos(markers=True)` draws, in the order of MARKED_JOINTS.

    Attributes:
        name: changes when results may.
    """

    name = "puppet markers 1"

    def detect(self, frames: np.ndarray) -> Keypoints:
        """Looks for every marker in every frame.

        Args:
            frames: uint8 [T, S, S, 3], S at least 16.

        Returns:
            Keypoints [T, 13]; a marker that is not found, because its joint is hidden or its colour is lost, is not
            visible.
        """
        parts = [_detect(frames[start : start + _FRAMES_AT_ONCE]) for start in range(0, len(frames), _FRAMES_AT_ONCE)]
        if not parts:
            empty = (0, len(MARKED_JOINTS))
            return Keypoints(np.zeros((*empty, 2), np.float32), np.zeros(empty, bool))
        points, visible = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Keypoints(points, visible)


def true_keypoints(joints: np.ndarray, visible: np.ndarray, size: int) -> Keypoints:
    """The marked ones of a clip's annotations, as a perfect detector would find them.

    Args:
        joints: of JOINTS, [T, J, 2] `(x, y)` in [-1, 1], centres of the corner pixels.
        visible: bool [T, J].
        size: of the frames in pixels.
    """
    marked = list(MARKED_JOINTS)
    points, visible = (joints[:, marked] + 1) * ((size - 1) / 2), visible[:, marked]
    return Keypoints(np.where(visible[..., None], points, 0).astype(np.float32), visible)


def _detect(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images = frames.astype(np.float32) / 255
    size = images.shape[1]
    cell = max(1, size // _SEARCH_SIZE)  # pixels that are one in the search
    small = _shrink(images, cell)
    contrast = _stand_out(_likeness(small), _DISC_SIDE * size / 2 / cell)
    flat = contrast.reshape(len(frames), -1, len(_COLOURS))
    row, column = np.divmod(flat.argmax(1), small.shape[2])
    centres = np.stack([column, row], -1) * cell + (cell - 1) / 2
    for _ in range(2):  # the first window is off by half a cell
        centres = _centre_of_mass(images, centres, MARKER_RADIUS * size / 2)
    found = flat.max(1) > LEAST_CONTRAST
    return np.where(found[..., None], centres, 0).astype(np.float32), found


def _shrink(images: np.ndarray, cell: int) -> np.ndarray:
    """Means of cells of pixels; edges are repeated to fill the last ones."""
    missing = -images.shape[1] % cell
    images = np.pad(images, ((0, 0), (0, missing), (0, missing), (0, 0)), mode="edge")
    count, size = len(images), images.shape[1] // cell
    return images.reshape(count, size, cell, size, cell, 3).mean((2, 4))


def _likeness(images: np.ndarray) -> np.ndarray:
    """How like the nearest marker's colour pixels are, [T, h, w, 13]; 0 for the other markers."""
    squared = (images**2).sum(-1, keepdims=True) - 2 * images @ _COLOURS.T + (_COLOURS**2).sum(-1)
    nearest = squared == squared.min(-1, keepdims=True)
    return np.maximum(1 - squared / COLOUR_REACH**2, 0) * nearest


def _stand_out(likeness: np.ndarray, side: float) -> np.ndarray:
    """Mean likeness in a square of that side less the mean in a frame about it as wide as half the side."""
    inner, outer = _box_mean(likeness, side), _box_mean(likeness, 2 * side)
    return inner - (4 * outer - inner) / 3


def _box_mean(maps: np.ndarray, side: float) -> np.ndarray:
    """Means over squares of any side about every pixel of maps [T, h, w, C], blended between the next odd sides."""
    smaller = int((side - 1) // 2) * 2 + 1
    weight = (side - smaller) / 2

    def mean(width: int) -> np.ndarray:
        rows = ndimage.uniform_filter1d(maps, width, axis=1, mode="constant")
        return ndimage.uniform_filter1d(rows, width, axis=2, mode="constant")

    return (1 - weight) * mean(smaller) + weight * mean(smaller + 2)


def _centre_of_mass(images: np.ndarray, centres: np.ndarray, radius: float) -> np.ndarray:
    """Moves centres [T, 13, 2] to the centres of mass of what is like the marker near them."""
    reach = int(np.ceil(_WINDOW_RADII * radius)) + 1
    steps = np.arange(-reach, reach + 1)
    columns, rows = (np.round(centres[..., axis]).astype(int)[..., None] + steps for axis in (0, 1))
    size = images.shape[1]
    windows = images[
        np.arange(len(images))[:, None, None, None],
        rows.clip(0, size - 1)[..., None],
        columns.clip(0, size - 1)[..., None, :],
    ]
    squared = ((windows - _COLOURS[:, None, None]) ** 2).sum(-1)
    dx, dy = (columns - centres[..., :1])[..., None, :], (rows - centres[..., 1:])[..., None]
    weight = np.clip(_WINDOW_RADII * radius + 0.5 - np.hypot(dx, dy), 0, 1)
    weight *= np.maximum(1 - squared / COLOUR_REACH**2, 0)
    mass = np.maximum(weight.sum((-1, -2)), 1e-6)[..., None]
    return centres + np.stack([(weight * dx).sum((-1, -2)), (weight * dy).sum((-1, -2))], -1) / mass
