"""A source picture, and the frames of its results: the view that is wanted, pasted back or not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motion_transformer_jax.data.image import read_image, resize_image
from motion_transformer_jax.inference.animated_frame import AnimatedFrame
from motion_transformer_jax.inference.crop import choose_box
from motion_transformer_jax.inference.options import AnimationOptions, View
from motion_transformer_jax.inference.paste import PasteBack
from motion_transformer_jax.viz.keypoints import draw_motion

# On fewer pixels keypoints cannot be told apart, nor much be seen side by side.
_VIEW_LEAST_PX = 256


@dataclass(frozen=True)
class Source:
    """What of a picture is animated, and what becomes of the result.

    Attributes:
        image: uint8 [H, W, 3], what the model is shown, to be brought to its size.
        picture: uint8 [H, W, 3], what the result is beside: the whole picture with `paste_back`, else `image`.
        paste_back: Puts results back into the picture; None where they stand alone.
        view: As in the options.
    """

    image: np.ndarray
    picture: np.ndarray
    paste_back: PasteBack | None
    view: View

    @classmethod
    def open(cls, path: str | Path, options: AnimationOptions) -> "Source":
        """Reads and crops a picture.

        Raises:
            UserError: It is no image, or the crop does not lie inside.
        """
        picture = read_image(path)
        if options.crop == "none" and not options.paste_back:
            return cls(picture, picture, None, options.view)  # the engine takes the middle, to a fraction of a pixel
        box = choose_box(options.crop, picture, str(path))
        image = box.cut(picture)
        if options.paste_back:
            return cls(image, picture, PasteBack(picture, box), options.view)
        return cls(image, image, None, options.view)

    def view_px(self, model_px: int) -> int:
        """Height of each picture side by side: the whole picture's with `paste_back`, else the model's or 256."""
        return max(model_px, _VIEW_LEAST_PX) if self.paste_back is None else len(self.picture)

    def finish(self, frame: AnimatedFrame) -> np.ndarray:
        """The frame that is written, uint8 [H, W, 3].

        Args:
            frame: of this source's animation; with its driving frame, at any size, where the view shows that.
        """
        result = frame.image
        if self.view == "overlay":
            result = draw_motion(result, frame.motion, size=max(len(result), _VIEW_LEAST_PX))
        if self.paste_back is not None:
            result = self.paste_back(result)
        return self._beside(frame, result) if self.view == "side-by-side" else result

    def _beside(self, frame: AnimatedFrame, result: np.ndarray) -> np.ndarray:
        height = self.view_px(len(frame.image))
        size = height, self.picture.shape[1] if self.paste_back is not None else height
        pictures = resize_image(self.picture, size), resize_image(frame.driving, (height, height))
        return np.concatenate([*pictures, resize_image(result, size)], axis=1)
