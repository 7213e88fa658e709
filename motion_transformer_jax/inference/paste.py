"""The animated square back into the whole picture, with a soft edge."""

import numpy as np

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.inference.crop import Box

# Of the square's side: over this width the result fades into the picture.
_FEATHER = 0.12


class PasteBack:
    """Puts results where their source was cut from."""

    def __init__(self, picture: np.ndarray, box: Box):
        """Prepares the edge.

        Args:
            picture: uint8 [H, W, 3], the whole source.
            box: The square that was animated.
        """
        self._picture, self._box = picture, box
        height, width = picture.shape[:2]
        across = _fade(box.side, soft_start=box.left > 0, soft_end=box.left + box.side < width)
        down = _fade(box.side, soft_start=box.top > 0, soft_end=box.top + box.side < height)
        self._weight = (down[:, None] * across)[..., None]
        self._under = (1 - self._weight) * box.cut(picture)

    def __call__(self, result: np.ndarray) -> np.ndarray:
        """The picture, uint8 [H, W, 3], with a result uint8 [S, S, 3] in it."""
        side = self._box.side
        blended = self._under + self._weight * resize_image(result, (side, side))
        whole = self._picture.copy()
        self._box.cut(whole)[...] = np.rint(blended)
        return whole


def _fade(length: int, *, soft_start: bool, soft_end: bool) -> np.ndarray:
    """Weights float32 [length] from 0 to 1 and back; an end that is not soft, as at the picture's edge, stays at 1."""
    distance = (np.arange(length, dtype=np.float32) + 0.5) / max(1, _FEATHER * length)
    rising = np.clip(distance, 0, 1) if soft_start else np.ones_like(distance)
    falling = np.clip(distance[::-1], 0, 1) if soft_end else np.ones_like(distance)
    weight = rising * falling
    return weight * weight * (3 - 2 * weight)
