"""The square of a picture that the model sees."""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.subject import find_subject

logger = logging.getLogger(__name__)

Crop = Literal["auto", "none"] | tuple[int, int, int, int]


@dataclass(frozen=True)
class Box:
    """A square of a picture, in whole pixels, inside it."""

    left: int
    top: int
    side: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Its part of an image, [side, side, C]; a view."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]

    def __str__(self):
        """As `--crop` takes it."""
        return f"{self.left},{self.top},{self.side},{self.side}"


@dataclass(frozen=True)
class BoxPath:
    """A square of one size that moves through the frames of a video, or stays where it is.

    Attributes:
        indices: Of frames, ascending; between them the square moves evenly.
        centres: (x, y) of its middle in those frames, in pixels.
        side: In pixels.
        size: (height, width) of the frames, inside which it stays.
    """

    indices: tuple[int, ...]
    centres: tuple[tuple[float, float], ...]
    side: float
    size: tuple[int, int]

    def at(self, index: int) -> Box:
        """The square of one frame."""
        x, y = (float(np.interp(index, self.indices, places)) for places in zip(*self.centres, strict=True))
        return square_around(x, y, self.side, self.size)


def choose_box(crop: Crop, picture: np.ndarray, name: str, *, leave_room: bool = False) -> Box:
    """The square that a picture is cropped to, or a video from its first frame to its last.

    Args:
        crop: "none": the largest square in the middle. "auto": around the subject. (left, top, width, height): the
            square about that rectangle's middle, as large as its longer side.
        picture: uint8 [H, W, 3]; of a video, the first frame.
        name: of the picture, for messages.
        leave_room: For the subject to move, as `find_subject` does.

    Raises:
        UserError: The rectangle does not lie inside.
    """
    height, width = picture.shape[:2]
    if crop == "none":
        return square_around(width / 2, height / 2, min(width, height), (height, width))
    if crop == "auto":
        square, subject = find_subject(picture, leave_room=leave_room)
        box = square_around(*square, (height, width))
        logger.info("%s is cropped to %s, around %s", name, box, subject)
        return box
    check_crop(crop, (height, width), name)
    left, top, crop_width, crop_height = crop
    return square_around(left + crop_width / 2, top + crop_height / 2, max(crop_width, crop_height), (height, width))


def check_crop(crop: Crop, size: tuple[int, int], name: str) -> None:
    """Raises a UserError if a crop is a rectangle that does not lie inside a picture of (height, width)."""
    if crop in ("none", "auto"):
        return
    (height, width), (left, top, crop_width, crop_height) = size, crop
    inside = 0 <= left < left + crop_width <= width and 0 <= top < top + crop_height <= height
    if not inside:
        raise UserError(
            f"the crop {left},{top},{crop_width},{crop_height} does not lie inside {name}, which is {width}x{height}"
        )


def still_path(box: Box, size: tuple[int, int]) -> BoxPath:
    """A box that is the same in all frames of (height, width)."""
    return BoxPath((0,), ((box.left + box.side / 2, box.top + box.side / 2),), box.side, size)


def square_around(x: float, y: float, side: float, size: tuple[int, int]) -> Box:
    """The square with that middle, moved inside a picture of (height, width), and no larger than fits."""
    height, width = size
    side = max(1, min(round(side), height, width))
    left, top = (int(np.clip(middle - side / 2, 0, length - side)) for middle, length in ((x, width), (y, height)))
    return Box(left, top, side)
