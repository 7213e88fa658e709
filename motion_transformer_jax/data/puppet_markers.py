"""Colour markers: discs that tell a puppet's joints by their colours, so that an image alone shows where they are."""

import numpy as np

from motion_transformer_jax.data.puppet_drawing import coverage
from motion_transformer_jax.data.puppet_skeleton import JOINTS

# sRGB in [0, 255] of each joint's disc. The set: of the vivid colours (greatest less least channel three quarters of
# the range or more, which clothes seldom have) in steps of a quarter, those whose least distance is largest. Distances
# are Euclidean in sRGB, because blur and compression mix colours there. The order: the nearer two joints usually are in
# the picture, the farther apart their colours. Neck and pelvis have none: at 64 pixels theirs would lie on the
# shoulders' and hips'.
MARKER_COLOURS = {
    "head": (64, 64, 255),
    "left_shoulder": (0, 191, 0),
    "left_elbow": (255, 0, 191),
    "left_wrist": (0, 128, 191),
    "right_shoulder": (255, 128, 64),
    "right_elbow": (0, 255, 191),
    "right_wrist": (191, 64, 255),
    "left_hip": (255, 255, 0),
    "left_knee": (191, 0, 0),
    "left_ankle": (64, 191, 255),
    "right_hip": (0, 0, 191),
    "right_knee": (128, 255, 64),
    "right_ankle": (128, 0, 191),
}
MARKED_JOINTS = tuple(JOINTS.index(joint) for joint in MARKER_COLOURS)
MARKER_RADIUS = 0.09  # scene units: 2.9 pixels of 64, two thirds of what parts the knees of one who stands


def draw_markers(canvas: np.ndarray, places: np.ndarray, visible: np.ndarray) -> None:
    """Draws the discs of visible joints in place over canvas [S, S, 3] (float32, [0, 1]), the nearest on top.

    Args:
        canvas: the picture.
        places: of JOINTS, [J, 3] in scene units.
        visible: of JOINTS, bool [J].
    """
    scale = len(canvas) / 2
    marked = zip(MARKED_JOINTS, MARKER_COLOURS.values(), strict=True)
    for joint, colour in sorted(marked, key=lambda marker: places[marker[0], 2]):
        if visible[joint]:
            _draw_disc(canvas, (places[joint, :2] + 1) * scale, MARKER_RADIUS * scale, np.float32(colour) / 255)


def _draw_disc(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """Draws a disc about `centre`, (x, y) in pixels from the corner of the frame."""
    first = np.maximum(np.floor(centre - radius - 1).astype(int), 0)
    last = np.minimum(np.ceil(centre + radius + 1).astype(int), len(canvas))
    dx, dy = (np.arange(first[axis], last[axis]) + 0.5 - centre[axis] for axis in (0, 1))
    weight = coverage(radius - np.hypot(dx, dy[:, None])).astype(np.float32)
    region = canvas[first[1] : last[1], first[0] : last[0]]
    region += weight[..., None] * (colour - region)
