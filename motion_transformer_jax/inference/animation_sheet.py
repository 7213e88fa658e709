"""An animation over time in one picture: what went in, what came out, and the keypoints and masks behind it."""

from collections.abc import Sequence

import numpy as np

from motion_transformer_jax.inference.animated_frame import AnimatedFrame
from motion_transformer_jax.viz.keypoints import draw_keypoints
from motion_transformer_jax.viz.masks import draw_masks
from motion_transformer_jax.viz.sheet import contact_sheet


def draw_animation_sheet(
    source: np.ndarray, frames: Sequence[AnimatedFrame], *, cell_px: int, downwards: bool = False
) -> np.ndarray:
    """Draws a contact sheet over time: source, driving frame, result, result with keypoints, masks.

    Args:
        source: uint8 [H, W, 3].
        frames: Those to show, at least one.
        cell_px: Side of a picture, in pixels.
        downwards: Whether time goes down a page instead of across it.

    Returns:
        uint8 [H', W', 3].
    """
    strips = {
        "source": [source] * len(frames),
        "driving": [frame.driving for frame in frames],
        "result": [frame.image for frame in frames],
        "keypoints": [
            draw_keypoints(frame.image, frame.motion.keypoints[0], frame.motion.affine[0], size=cell_px)
            for frame in frames
        ],
        "masks": [draw_masks(frame.mask, cell_px) for frame in frames],
    }
    if downwards:
        return contact_sheet(list(zip(*strips.values(), strict=True)), column_labels=list(strips), cell_px=cell_px)
    return contact_sheet(list(strips.values()), row_labels=list(strips), cell_px=cell_px)
