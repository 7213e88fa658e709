"""How the official code loads training pairs, as a reference to measure against.

PNG files in a folder for each video; for each pair two of them are read, turned to float, flipped, and recoloured as
8-bit images by Pillow, which is what torchvision does with such images. One Python process, no framework.
"""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from motion_transformer_jax.data.augment import Augmentation


class PlainPairs:
    """Pairs of augmented frames of random videos, without end."""

    def __init__(self, folder: Path, augmentation: Augmentation, seed: int = 0):
        """List the videos.

        Args:
          folder: holds a folder of frames for each video.
          augmentation: flips and colours; rotation and resizing are left out.
          seed: of all that is random.
        """
        self._videos = [sorted(video.iterdir()) for video in sorted(folder.iterdir())]
        self._augmentation = augmentation
        self._random = random.Random(seed)

    def batch(self, size: int) -> dict[str, np.ndarray]:
        """`source` and `driving`, float32 `[size, 3, H, W]` in [0, 1], as PyTorch takes them."""
        pairs = [self._pair() for _ in range(size)]
        return {name: np.stack([pair[i] for pair in pairs]) for i, name in enumerate(("source", "driving"))}

    def _pair(self) -> list[np.ndarray]:
        files = self._random.choice(self._videos)
        times = sorted(self._random.choices(range(len(files)), k=2))
        frames = self._flip([_read(files[t]) for t in times])
        adjust = self._colour_adjustments()
        if adjust:
            frames = [_as_float(_adjusted(frame, adjust)) for frame in frames]
        return [np.ascontiguousarray(frame.transpose(2, 0, 1)) for frame in frames]

    def _flip(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        if self._augmentation.time_flip and self._random.random() < 0.5:
            return frames[::-1]
        if self._augmentation.horizontal_flip and self._random.random() < 0.5:
            return [np.fliplr(frame) for frame in frames]
        return frames

    def _colour_adjustments(self) -> list[Callable[[Image.Image], Image.Image]]:
        augmentation, adjustments = self._augmentation, []
        for enhancer, spread in (
            (ImageEnhance.Brightness, augmentation.brightness),
            (ImageEnhance.Color, augmentation.saturation),
            (ImageEnhance.Contrast, augmentation.contrast),
        ):
            if spread:
                factor = self._random.uniform(max(0.0, 1 - spread), 1 + spread)
                adjustments.append(lambda image, enhancer=enhancer, factor=factor: enhancer(image).enhance(factor))
        if augmentation.hue:
            turn = self._random.uniform(-augmentation.hue, augmentation.hue)
            adjustments.append(lambda image: _turn_hue(image, turn))
        self._random.shuffle(adjustments)
        return adjustments


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return _as_float(image)


def _as_float(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def _adjusted(frame: np.ndarray, adjustments: list[Callable[[Image.Image], Image.Image]]) -> Image.Image:
    image = Image.fromarray((frame * 255 + 0.5).astype(np.uint8))
    for adjust in adjustments:
        image = adjust(image)
    return image


def _turn_hue(image: Image.Image, turn: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + round(turn * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")
