"""Where results go: by the output's name, a video, a picture, a folder of frames, or the standard output."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.frame_folder import check_frame_folder, write_frame_folder
from motion_transformer_jax.data.image import PICTURE_SUFFIXES, describe
from motion_transformer_jax.data.raw_frames import write_raw_frames
from motion_transformer_jax.data.sound import Sound
from motion_transformer_jax.data.video import list_frames
from motion_transformer_jax.data.video_writer import VIDEO_ENDINGS, write_image, write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.live import STANDARD_STREAM

LABEL = "Synthetic media, made by motion_transformer_jax"
_STANDARD_OUTPUT = 1  # the file descriptor
FORMATS = ("mp4", "webm", "gif", "png", "frames")


def is_frame_folder(out: str | Path) -> bool:
    """Whether an output's name stands for a folder of PNG frames: it ends in / or is a folder."""
    return str(out).endswith(os.sep) or os.path.isdir(out)


def is_single(out: str | Path) -> bool:
    """Whether an output's name stands for one result and could not be a folder of several."""
    is_file = Path(out).suffix.lower() in (*VIDEO_ENDINGS, ".png") and not is_frame_folder(out)
    return is_file or str(out) == STANDARD_STREAM


def is_still(out: str | Path) -> bool:
    """Whether an output's name stands for one picture."""
    return Path(out).suffix.lower() == ".png" and not is_frame_folder(out)


def write_result(
    out: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float,
    sound: Sound | None = None,
    lossless: bool = False,
    label: bool = True,
    overwrite: bool = False,
) -> None:
    """Writes a result, whole or not at all (save on the standard output).

    Args:
        out: A name that ends in .mp4, .webm or .gif; in .png for a still; in / for a folder of PNG frames;
            or "-" for raw rgb24 frames on the standard output.
        frames: uint8 [H, W, 3], drawn only when the name and its folder are known to be good.
        fps: Frames per second; stills, frames and raw frames do not keep it.
        sound: What is heard with them, in mp4 and webm.
        lossless: Keep every value of every pixel, in mp4 and webm; PNG and raw frames do anyway.
        label: Write `LABEL` into the file's metadata; raw frames have none.
        overwrite: As `check_replaceable` takes it.

    Raises:
        UserError: It cannot be written, or there are no frames.
    """
    comment = LABEL if label else ""
    if str(out) == STANDARD_STREAM:
        with _standard_output() as stream:
            write_raw_frames(stream, frames)
    elif is_frame_folder(out):
        write_frame_folder(out, frames, comment=comment, overwrite=overwrite, own=LABEL)
    elif is_still(out):
        with atomic_path(out) as temporary:
            write_image(temporary, _only(frames, out), comment=comment)
    elif Path(out).suffix.lower() not in VIDEO_ENDINGS:
        raise UserError(
            f"cannot write {out}: videos are written as .mp4, .webm or .gif, a single picture as .png, and frames into "
            "a folder, whose name ends in /; rename it"
        )
    else:
        write_video(out, frames, fps=fps, sound=sound, comment=comment, lossless=lossless)


def check_replaceable(out: str | Path, *, overwrite: bool) -> None:
    """Looks at what has an output's name already: a file is replaced, a folder only by a folder of frames.

    Args:
        out: As `write_result` takes it.
        overwrite: Replace a folder of frames whoever made them; else only one whose frames all have `LABEL`.

    Raises:
        UserError: The folder may not be replaced.
    """
    if is_frame_folder(out):
        check_frame_folder(out, overwrite=overwrite, own=LABEL)


def find_sources(sources: Sequence[str | Path]) -> list[Path]:
    """The images among files and folders of images, in order; of a folder in natural order.

    Raises:
        UserError: A folder holds none, or cannot be listed.
    """
    found = []
    for source in map(Path, sources):
        images = list_frames(source, PICTURE_SUFFIXES) if source.is_dir() else [source]
        if not images:
            raise UserError(f"there is no image in {source}; expected {describe(PICTURE_SUFFIXES)}")
        found += images
    return found


def name_results(sources: Sequence[Path], folder: str | Path, form: str) -> list[str]:
    """Where each source's result goes: folder/NAME.form, or folder/NAME/ for frames in a folder ("frames").

    Raises:
        UserError: Two sources have the same name.
    """
    names: dict[str, Path] = {}
    for source in sources:
        if source.stem in names:
            raise UserError(f"{names[source.stem]} and {source} would have the same result; rename one")
        names[source.stem] = source
    ending = os.sep if form == "frames" else f".{form}"
    return [os.path.join(folder, name + ending) for name in names]


@contextmanager
def made_folder(folder: str | Path) -> Iterator[None]:
    """Makes a folder if it is missing; if the body leaves it empty, it goes again.

    Raises:
        UserError: There is a file of that name, or it cannot be made.
    """
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise UserError(f"cannot write {folder}: there is no folder {folder.parent}; create it first")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"cannot write {folder}: it is a file; results of several sources go to a folder")
    missing = not folder.exists()
    with system_errors(folder):
        folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        if missing:
            with suppress(OSError):
                folder.rmdir()


def _only(frames: Iterable[np.ndarray], out: str | Path) -> np.ndarray:
    image, *others = islice(frames, 2)
    if others:
        raise needs_a_video(out)
    return image


def needs_a_video(out: str | Path) -> UserError:
    """What to raise where many frames are to go into one picture."""
    return UserError(
        f"cannot write {out}: the driving video has more than one frame; choose .mp4, .webm or .gif, or a folder of "
        "frames, whose name ends in /"
    )


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """A stream of its own, so that a reader who has gone does not trouble Python's."""
    stream = os.fdopen(os.dup(_STANDARD_OUTPUT), "wb")
    try:
        yield stream
    finally:
        with suppress(BrokenPipeError):
            stream.close()
