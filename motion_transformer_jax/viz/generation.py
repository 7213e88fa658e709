"""What a model makes of pairs of frames, and of what: one row a pair."""

import jax
import numpy as np

from motion_transformer_jax.models.animation_model import Generation
from motion_transformer_jax.viz.flow import MAX_DISPLACEMENT, draw_flow, draw_flow_wheel
from motion_transformer_jax.viz.keypoints import draw_motion
from motion_transformer_jax.viz.masks import BACKGROUND_COLOR, draw_masks, draw_occlusion
from motion_transformer_jax.viz.raster import keypoint_colors
from motion_transformer_jax.viz.sheet import add_legend, contact_sheet

COLUMNS = ("source", "driving", "result", "warped source", "masks", "flow", "occlusion")
_LEAST_CELL_PX = 128
_SWATCH_PX = 44


def draw_generations(
    source: np.ndarray, driving: np.ndarray, generation: Generation, *, cell_px: int = _LEAST_CELL_PX
) -> np.ndarray:
    """A contact sheet with a row for each pair: the frames with their keypoints, the result, and what it is made of.

    Args:
      source, driving: uint8 [B, H, W, 3].
      generation: the model's, of source moved by driving.
      cell_px: side of a picture, at least the frames' own.

    Returns:
      uint8 [H', W', 3].
    """
    result = jax.device_get(generation)
    size = max(cell_px, source.shape[1])
    rows = [
        [
            draw_motion(source[i], result.source_motion, i, size=size),
            draw_motion(driving[i], result.driving_motion, i, size=size),
            result.prediction[i],
            result.deformed[i],
            draw_masks(result.dense.mask[i], size),
            draw_flow(result.dense.deformation[i], size),
            draw_occlusion(result.dense.occlusion[i], size),
        ]
        for i in range(len(source))
    ]
    sheet = contact_sheet(rows, column_labels=COLUMNS, cell_px=size)
    return add_legend(sheet, _legend(result.dense.mask.shape[-1] - 1))


def _legend(num_keypoints: int) -> list[tuple[np.ndarray, str]]:
    share = round(100 * MAX_DISPLACEMENT / 2)  # [-1, 1] is the whole frame
    colors = np.concatenate([[BACKGROUND_COLOR], keypoint_colors(num_keypoints)]).astype(np.uint8)
    grey = np.linspace(0, 255, 2 * _SWATCH_PX).astype(np.uint8)
    return [
        (_strip(colors), "keypoints and masks by colour, dark: background"),
        (draw_flow_wheel(_SWATCH_PX), f"flow: where a pixel comes from, rim: {share} % of the frame or more"),
        (_strip(grey[:, None].repeat(3, axis=1)), "occlusion: black must be invented"),
    ]


def _strip(colors: np.ndarray) -> np.ndarray:
    """Colours `[N, 3]` from left to right."""
    width = max(2 * _SWATCH_PX, len(colors))
    return np.broadcast_to(colors[np.arange(width) * len(colors) // width], (_SWATCH_PX // 3, width, 3))
