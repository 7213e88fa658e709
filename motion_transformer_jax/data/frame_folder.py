"""A video as a folder of PNGs: 000000.png, 000001.png, ..."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from motion_transformer_jax.atomic import atomic_folder, system_errors
from motion_transformer_jax.data.video_writer import COMMENT_KEY, write_image
from motion_transformer_jax.errors import UserError

_FRAME_NAME = re.compile(r"\d{6,}\.png", re.ASCII)


def write_frame_folder(
    folder: str | Path, frames: Iterable[np.ndarray], *, comment: str = "", overwrite: bool = False, own: str = ""
) -> None:
    """Writes frames as they come; the folder appears under its name when complete.

    Args:
        folder: Is made. An older one is replaced where `check_frame_folder` lets it.
        frames: uint8 [H, W, 3], RGB.
        comment: Written into every frame's metadata.
        overwrite, own: As `check_frame_folder` takes them.

    Raises:
        UserError: The older folder may not be replaced, it cannot be written, or there are no frames.
    """
    check_frame_folder(folder, overwrite=overwrite, own=own)
    with atomic_folder(folder) as temporary:
        count = 0
        for frame in frames:
            write_image(temporary / f"{count:06d}.png", frame, comment=comment)
            count += 1
        if not count:
            raise UserError(f"there are no frames to write to {folder}; expected at least one")


def check_frame_folder(folder: str | Path, *, overwrite: bool, own: str) -> None:
    """Looks whether a folder may be replaced by one of frames, if it exists.

    Args:
        folder: May be missing or empty; else it must hold such frames and nothing else.
        overwrite: Replace frames whoever made them.
        own: The comment that tells frames which may be replaced in any case; "": there are none.

    Raises:
        UserError: It may not.
    """
    if not os.path.isdir(folder):
        return
    with system_errors(folder):
        paths = sorted(Path(folder).iterdir())
    others = [path.name for path in paths if not (_FRAME_NAME.fullmatch(path.name) and path.is_file())]
    if others:
        raise UserError(
            f"cannot write frames to {folder}: it holds {others[0]}; choose a new folder, or one of frames only"
        )
    if overwrite:
        return
    foreign = next((path.name for path in paths if not own or _comment(path) != own), None)
    if foreign:
        raise UserError(
            f"cannot write frames to {folder}: nothing tells that its {foreign} is an earlier result; pass --overwrite "
            "to replace all its frames, or choose another folder"
        )


def _comment(path: Path) -> str | None:
    """The comment that `write_image` put into a PNG; None where there is none, or no such file."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get(COMMENT_KEY)
    except Exception:  # Pillow's decoders raise nearly anything on what is no PNG of ours
        return None
