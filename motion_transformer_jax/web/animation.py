"""A visitor's wish, carried out by the function behind the command `animate`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motion_transformer_jax.inference.animated_frame import AnimatedFrame
from motion_transformer_jax.inference.animated_video import animate_video
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.moments import Moments
from motion_transformer_jax.web.uploads import UploadLimits

_NUM_MOMENTS = 6


@dataclass(frozen=True)
class Wish:
    """What to animate, and how.

    Attributes:
        picture: Of any size.
        clip: Of any size.
        checkpoint: The model.
        options: The command's, with a mode.
    """

    picture: Path
    clip: Path
    checkpoint: Checkpoint
    options: AnimationOptions


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


def fulfil(
    wish: Wish, limits: UploadLimits, out: Path, report: Callable[[DrawnFrame | None], None]
) -> list[AnimatedFrame]:
    """Writes to `out` what `motrans animate` writes for the same files and options.

    Bit for bit, but for a webm's random identifiers.

    Args:
        wish: What to animate.
        limits: Of its files.
        out: A name that ends in .mp4, .webm or .gif.
        report: Takes each frame of the result; and None at each frame that is read of the clip, so that what it raises
            ends the work soon, whatever is being done.

    Returns:
        Moments of the result, from its beginning to its end, to explain it by.

    Raises:
        UserError: The picture or the clip cannot be read, or is over the limits, or the options do not fit.
    """
    moments: Moments[AnimatedFrame] = Moments(_NUM_MOMENTS)

    def on_frame(index: int, total: int | None, image: np.ndarray, frame: AnimatedFrame) -> None:
        moments.add(frame)
        report(DrawnFrame(index, total, image))

    def on_read() -> None:
        report(None)

    limits.check_picture(wish.picture)
    limits.check_all_frames(wish.clip, on_read=on_read)
    animator = wish.checkpoint.animator
    animate_video(lambda: animator, wish.picture, wish.clip, out, wish.options, on_frame=on_frame, on_read=on_read)
    return moments.choose()
