"""What dense motion predicts, as pictures: masks, flow and occlusion."""

import numpy as np
from PIL import Image

from motion_transformer_jax.viz.raster import as_uint8, keypoint_colors, resize

BACKGROUND_COLOR = (24, 26, 32)


def draw_masks(mask: np.ndarray, size: int) -> np.ndarray:
    """Blend soft masks in their keypoints' colours.

    Args:
      mask: `[h, w, K + 1]`, in [0, 1] and summing to 1; index 0 is the background, which stays
        dark.
      size: side of the picture in pixels.

    Returns:
      uint8 `[size, size, 3]`.
    """
    mask = np.asarray(mask, np.float32)
    colors = np.concatenate([[BACKGROUND_COLOR], keypoint_colors(mask.shape[-1] - 1)])
    # Blending is linear, so the picture can be enlarged instead of the K + 1 masks.
    return resize(mask @ (colors.astype(np.float32) / 255), size, size)


def draw_flow(deformation: np.ndarray, size: int, *, max_displacement: float | None = 0.4) -> np.ndarray:
    """Draw where each driving pixel comes from, as a colour wheel of displacements.

    White is no displacement; the hue is its direction (red right, green-yellow down, cyan left,
    violet up) and the strength of the colour its length.

    Args:
      deformation: `[h, w, 2]`, (x, y) in [-1, 1] in the source for each driving pixel.
      size: side of the picture in pixels.
      max_displacement: length drawn in full colour, in units of [-1, 1]; None for the longest of
        this picture. One value for all frames makes them comparable.

    Returns:
      uint8 `[size, size, 3]`.
    """
    deformation = np.asarray(deformation, np.float32)
    height, width = deformation.shape[:2]
    identity = np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)), axis=-1)
    flow = np.nan_to_num(deformation - identity)
    length = np.linalg.norm(flow, axis=-1)
    if max_displacement is None:
        max_displacement = max(float(length.max()), 1e-6)
    hue = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1.0
    strength = np.clip(length / max_displacement, 0, 1)
    hsv = np.stack([hue, strength, np.ones_like(hue)], axis=-1)
    rgb = Image.fromarray(np.round(255 * hsv).astype(np.uint8), "HSV").convert("RGB")
    return resize(np.asarray(rgb), size, size)


def draw_occlusion(occlusion: np.ndarray, size: int) -> np.ndarray:
    """Draw an occlusion map in grey: white is visible in the source, black must be invented.

    Args:
      occlusion: `[h, w, 1]` or `[h, w]`, in [0, 1], 1 = visible.
      size: side of the picture in pixels.

    Returns:
      uint8 `[size, size, 3]`.
    """
    return resize(as_uint8(occlusion), size, size)
