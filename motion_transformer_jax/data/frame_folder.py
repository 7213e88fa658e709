"""A video as a folder of PNGs: 000000.png, 000001.png, ..."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from motion_transformer_jax.atomic import atomic_folder
from motion_transformer_jax.data.video_writer import write_image
from motion_transformer_jax.errors import UserError

_FRAME_NAME = re.compile(r"\d{6,}\.png")


def write_frame_folder(folder: str | Path, frames: Iterable[np.ndarray], *, comment: str = "") -> None:
    """Writes frames as they come; the folder appears under its name when complete.

    Args:
        folder: Is made. An older one is replaced if it is empty or holds such frames and nothing else.
        frames: uint8 [H, W, 3], RGB.
        comment: Written into every frame's metadata.

    Raises:
        UserError: There is something else in the folder, it cannot be written, or there are no frames.
    """
    if os.path.isdir(folder):
        others = [name for name in os.listdir(folder) if not _FRAME_NAME.fullmatch(name)]
        if others:
            raise UserError(
                f"cannot write frames to {folder}: it holds {others[0]}; choose a new folder, or one of frames only, "
                "which are replaced"
            )
    with atomic_folder(folder) as temporary:
        count = 0
        for frame in frames:
            write_image(temporary / f"{count:06d}.png", frame, comment=comment)
            count += 1
        if not count:
            raise UserError(f"there are no frames to write to {folder}; expected at least one")
