"""The colours of heat maps: from dark violet through red and orange to pale yellow, evenly in lightness."""

import functools

import numpy as np

# Ever lighter; between them colours go straight through Oklab.
_ANCHORS = ("#0b0724", "#4b1079", "#b12a6b", "#f2703a", "#fdc23e", "#fdf6c0")
# Linear sRGB -> cone responses -> Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def heat_colors(values: np.ndarray) -> np.ndarray:
    """Colours of values in [0, 1], of any shape: uint8 `[..., 3]`. Equal steps are equal steps in lightness."""
    values = np.clip(np.nan_to_num(np.asarray(values, np.float32)), 0, 1)
    return _table()[np.round(255 * values).astype(int)]


@functools.cache
def _table() -> np.ndarray:
    anchors = _to_oklab(np.array([tuple(bytes.fromhex(color[1:])) for color in _ANCHORS]) / 255)
    lightness = np.linspace(anchors[0, 0], anchors[-1, 0], 256)
    colors = np.stack([np.interp(lightness, anchors[:, 0], channel) for channel in anchors.T], axis=-1)
    return np.round(255 * _to_srgb(colors)).astype(np.uint8)


def _to_oklab(srgb: np.ndarray) -> np.ndarray:
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_OKLAB.T


def _to_srgb(oklab: np.ndarray) -> np.ndarray:
    linear = (oklab @ np.linalg.inv(_TO_OKLAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
