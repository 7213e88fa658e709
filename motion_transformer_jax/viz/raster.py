"""What all pictures share: conversion to uint8, resizing, and the keypoints' colours.

Pictures are uint8 `[H, W, 3]` arrays; functions that draw also take float images in [0, 1] and grey
ones `[H, W]` or `[H, W, 1]`.
"""

import colorsys

import numpy as np
from PIL import Image

# fmt: off
# Bright on photographs and on black alike; neighbours in the list differ most, since few models
# have over ten.
_PALETTE = [
    "#ff3b4e", "#2ec4ff", "#ffd91a", "#3ddc62", "#ff4fe0", "#ff8c1a", "#5b6cff",
    "#b6f23c", "#b04dff", "#19e0c3", "#ffb3c7", "#a07040", "#fff2a8", "#1c8f6f",
    "#c9a6ff", "#9aa51e", "#8fe3ff", "#8c4a6b", "#ffffff", "#9fb0c0",
]
# fmt: on
_GOLDEN_RATIO = 0.61803398875


def keypoint_colors(num_keypoints: int) -> np.ndarray:
    """Colours of keypoints, the same for an index whatever the number of keypoints.

    Args:
      num_keypoints: how many colours, >= 0. The first twenty are picked by hand; the rest follow
        the golden ratio.

    Returns:
      uint8 `[num_keypoints, 3]`, RGB.
    """
    colors = [tuple(bytes.fromhex(color[1:])) for color in _PALETTE[:num_keypoints]]
    for index in range(len(_PALETTE), num_keypoints):
        hue = (index * _GOLDEN_RATIO) % 1.0
        rgb = colorsys.hsv_to_rgb(hue, 0.9 - 0.3 * (index % 2), 1.0 - 0.2 * (index % 3))
        colors.append(tuple(round(255 * channel) for channel in rgb))
    return np.array(colors, np.uint8).reshape(num_keypoints, 3)


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Copy of an image as uint8 RGB.

    Args:
      image: `[H, W, 3]`, `[H, W, 1]` or `[H, W]`; uint8, or float in [0, 1] (clipped).

    Returns:
      uint8 `[H, W, 3]`.

    Raises:
      ValueError: for another shape or type.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"image has shape {image.shape}; expected [H, W, 3], [H, W, 1] or [H, W]")
    if image.dtype != np.uint8:
        if image.dtype.kind not in "fV":  # V: bfloat16, which models may return
            raise ValueError(f"image is {image.dtype}; expected uint8 or float in [0, 1]")
        image = np.clip(np.nan_to_num(image.astype(np.float32)), 0, 1)
        image = np.round(255 * image).astype(np.uint8)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image.copy()


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture; smooth upwards, anti-aliased downwards.

    Args:
      image: anything that `as_uint8` takes.
      height: of the result, in pixels.
      width: of the result, in pixels.

    Returns:
      uint8 `[height, width, 3]`.
    """
    image = as_uint8(image)
    if image.shape[:2] == (height, width):
        return image
    # Pillow widens the filter when it shrinks, so bicubic is anti-aliased there too.
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)
