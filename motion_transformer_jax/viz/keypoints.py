"""Keypoints and their affine maps, drawn on an image."""

import numpy as np

from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.viz.raster import as_uint8, keypoint_colors, resize

_OUTLINE = np.zeros(3, np.float32)


def draw_keypoints(
    image: np.ndarray,
    keypoints: np.ndarray,
    affine: np.ndarray | None = None,
    *,
    size: int | None = None,
    radius_px: float | None = None,
    ellipse_radius: float = 0.12,
) -> np.ndarray:
    """Draw keypoints as outlined dots, and their affine maps as ellipses, on an image.

    Args:
      image: `[H, W, 3]`, uint8 or float in [0, 1].
      keypoints: `[K, 2]`, (x, y) in [-1, 1]. Those outside are drawn as far as they reach into the
        image; those that are not finite are left out.
      affine: `[K, 2, 2]` or None; an ellipse is the image of a circle under it, its spoke that of
        the x axis.
      size: side in pixels of the square picture that is drawn on, or None for the image's own size.
        Dots are sharp when a small image is enlarged here and not afterwards.
      radius_px: radius of a dot; None chooses one that fits the picture.
      ellipse_radius: radius of the circle that `affine` maps, in units of [-1, 1].

    Returns:
      uint8 `[H, W, 3]`, or `[size, size, 3]`.
    """
    picture = as_uint8(image) if size is None else resize(image, size, size)
    height, width = picture.shape[:2]
    keypoints = np.asarray(keypoints, np.float32)
    if radius_px is None:
        radius_px = max(1.5, 0.023 * min(height, width))
    line_px = max(1.0, 0.4 * radius_px)
    # -1 and 1 are the centres of the first and last pixel.
    to_pixels = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
    centers = (keypoints + 1) * to_pixels
    canvas = picture.astype(np.float32)
    colors = keypoint_colors(len(keypoints)).astype(np.float32)
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    pixels = pixels.astype(np.float32)
    if affine is not None:
        shapes = to_pixels[:, None] * np.asarray(affine, np.float32) * ellipse_radius
        for center, shape, color in zip(centers, shapes, colors, strict=True):
            if np.isfinite(center).all() and np.isfinite(shape).all():
                _draw_ellipse(canvas, pixels - center, shape, color, line_px)
    for center, color in zip(centers, colors, strict=True):
        if np.isfinite(center).all():
            distance = np.linalg.norm(pixels - center, axis=-1)
            _paint(canvas, distance - radius_px, color, outline_px=max(1.0, 0.3 * radius_px))
    return np.round(canvas).astype(np.uint8)


def draw_motion(image: np.ndarray, motion: Motion, index: int = 0, *, size: int | None = None) -> np.ndarray:
    """Draw a frame's motion on it: `draw_keypoints` with ellipses that fit the estimator.

    Args:
      image: `[H, W, 3]`, uint8 or float in [0, 1].
      motion: keypoints `[B, K, 2]`, on the host.
      index: which of the batch.
      size: as `draw_keypoints` takes it.

    Returns:
      uint8 `[H, W, 3]`, or `[size, size, 3]`.
    """
    # A region's affine maps the unit circle to one standard deviation; others have no scale of their own.
    radius = {} if motion.covariance is None else {"ellipse_radius": 1.0}
    return draw_keypoints(image, motion.keypoints[index], motion.affine[index], size=size, **radius)


def _draw_ellipse(canvas, offsets, shape, color, line_px):
    """Outline of the ellipse `shape @ unit circle` and its spoke to `shape @ (1, 0)`, in pixels."""
    spoke = shape[:, 0]
    along = np.clip(offsets @ spoke / max(float(spoke @ spoke), 1e-6), 0, 1)
    distance = np.linalg.norm(offsets - along[..., None] * spoke, axis=-1)
    # A map that flattens the circle has an ellipse too thin to draw; its spoke still shows.
    if abs(np.linalg.det(shape)) > 1e-2:
        inverse = np.linalg.inv(shape)
        unit = offsets @ inverse.T
        norm = np.maximum(np.linalg.norm(unit, axis=-1), 1e-6)
        # First-order distance to the curve |unit| = 1: value over the length of its gradient.
        slope = np.linalg.norm(unit @ inverse, axis=-1) / norm
        curve = np.abs(norm - 1) / np.maximum(slope, 1e-6)
        # That underestimates beyond the tips of a thin ellipse, where the circle around it is a
        # lower bound.
        beyond = np.linalg.norm(offsets, axis=-1) - np.linalg.norm(shape, ord=2)
        distance = np.minimum(distance, np.maximum(curve, beyond))
    _paint(canvas, distance - line_px / 2, color, outline_px=max(0.6, 0.4 * line_px))


def _paint(canvas, signed_distance, color, *, outline_px):
    """Blend a shape into the canvas in place: outline first, then the colour, with soft edges."""
    for edge, paint in ((outline_px, _OUTLINE), (0.0, color)):
        coverage = np.clip(edge - signed_distance + 0.5, 0, 1)[..., None]
        canvas += coverage * (paint - canvas)
