"""Flow as a colour wheel of displacements, and the wheel itself."""

import numpy as np
from PIL import Image

from motion_transformer_jax.viz.raster import resize

# Drawn in full colour where a picture names no other length: a fifth of the frame.
MAX_DISPLACEMENT = 0.4
_FINENESS = 4  # the wheel is drawn larger and shrunk, for a smooth rim
_RIM = np.array([120, 124, 132], np.float32)


def draw_flow(deformation: np.ndarray, size: int, *, max_displacement: float | None = MAX_DISPLACEMENT) -> np.ndarray:
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
    flow = np.nan_to_num(deformation - _grid(*deformation.shape[:2]))
    if max_displacement is None:
        max_displacement = max(float(np.linalg.norm(flow, axis=-1).max()), 1e-6)
    return resize(_colors(flow / max_displacement), size, size)


def draw_flow_wheel(size: int) -> np.ndarray:
    """Draw the legend of `draw_flow`: no displacement in the centre, `max_displacement` at the rim.

    The colour of a place is that of a pixel which comes from there, seen from the centre.

    Args:
      size: side of the picture in pixels.

    Returns:
      uint8 `[size, size, 3]`, white around the wheel.
    """
    place = _grid(size * _FINENESS, size * _FINENESS)
    radius = np.linalg.norm(place, axis=-1, keepdims=True)
    rim = 1 - 3 / size
    wheel = _colors(place / rim).astype(np.float32)
    axes = (np.abs(place).min(-1, keepdims=True) < 0.7 / size) & (radius < rim)
    wheel = np.where(axes, 0.75 * wheel + 0.25 * _RIM, wheel)
    wheel = np.where(np.abs(radius - rim) < 1.5 / size, _RIM, wheel)
    picture = np.where(radius > rim + 1.5 / size, 255, wheel).astype(np.uint8)
    return np.asarray(Image.fromarray(picture).reduce(_FINENESS))


def _grid(height: int, width: int) -> np.ndarray:
    """(x, y) in [-1, 1] at each pixel, `[height, width, 2]`."""
    return np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)), axis=-1).astype(np.float32)


def _colors(flow: np.ndarray) -> np.ndarray:
    """Displacements `[h, w, 2]`, of length 1 in full colour, as uint8 `[h, w, 3]`."""
    hue = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1.0
    strength = np.clip(np.linalg.norm(flow, axis=-1), 0, 1)
    hsv = np.stack([hue, strength, np.ones_like(hue)], axis=-1)
    return np.asarray(Image.fromarray(np.round(255 * hsv).astype(np.uint8), "HSV").convert("RGB"))
