"""A visitor's wish, carried out by the function behind the command `animate`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motion_transformer_jax.inference.animated_video import Summary, animate_video
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.inference.retarget import Mode
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.uploads import UploadLimits


@dataclass(frozen=True)
class Wish:
    """What to animate, and how.

    Attributes:
        picture: Of any size.
        clip: Of any size.
        checkpoint: The model.
        mode: One of the model's.
        find_best_frame: Measure relative motion from the driving frame nearest to the picture's pose, not from the
            first.
        side_by_side: Show picture, clip and result in a row.
    """

    picture: Path
    clip: Path
    checkpoint: Checkpoint
    mode: Mode
    find_best_frame: bool
    side_by_side: bool


@dataclass(frozen=True)
class DrawnFrame:
    """A frame of the result as soon as it is there.

    Attributes:
        index: From 0.
        total: About how many there will be, or None.
        image: uint8 [H, W, 3].
    """

    index: int
    total: int | None
    image: np.ndarray


def fulfil(wish: Wish, limits: UploadLimits, out: Path, on_frame: Callable[[DrawnFrame], None]) -> Summary:
    """Writes to `out` what `motrans animate` writes for the same files and options, bit for bit.

    Raises:
        UserError: The picture or the clip cannot be read, or is over the limits.
    """
    limits.check_picture(wish.picture)
    limits.check_all_frames(wish.clip)
    return animate_video(
        lambda: wish.checkpoint.animator,
        wish.picture,
        wish.clip,
        out,
        AnimationOptions(
            mode=wish.mode,
            best_frame="auto" if wish.find_best_frame and wish.mode == "relative" else None,
            view="side-by-side" if wish.side_by_side else "result",
        ),
        on_frame=lambda index, total, image: on_frame(DrawnFrame(index, total, image)),
    )
