"""Which motion moves what, and what must be invented: dense motion's masks and occlusion as pictures."""

import numpy as np

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


def draw_occlusion(occlusion: np.ndarray, size: int) -> np.ndarray:
    """Draw an occlusion map in grey: white is visible in the source, black must be invented.

    Args:
      occlusion: `[h, w, 1]` or `[h, w]`, in [0, 1], 1 = visible.
      size: side of the picture in pixels.

    Returns:
      uint8 `[size, size, 3]`.
    """
    return resize(as_uint8(occlusion), size, size)
