"""A corpus as its preprocessing left it: which videos it has, in which split, and which frames of them count.

    FOLDER/train/VIDEO and FOLDER/test/VIDEO, a video being an mp4, a gif, a film strip or a folder of frames.

List files in the form of the official Motion Transformer code choose among them: a line `VIDEO/FRAME` for each frame.
"""

import csv
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from motion_transformer_jax.data.confinement import is_file_name
from motion_transformer_jax.data.video import list_videos
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

SPLITS = ("train", "test")
LAYOUT = "expected a folder with train/ and test/, each holding videos or folders of frames"


@dataclasses.dataclass(frozen=True)
class Clip:
    """One video of a corpus.

    Attributes:
        path: A file, or a folder of frames.
        frames: Names of the frames that count, in order; None for all.
    """

    path: Path
    frames: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The file's name, with its ending: two files may differ in that alone."""
        return self.path.name


def identity(name: str) -> str:
    """Identity of a video's subject: what stands before the first '#' of its name."""
    return name.split("#", 1)[0]


def list_split(folder: str | os.PathLike, split: str) -> list[Path]:
    """The videos of `FOLDER/SPLIT`, in natural order.

    Raises:
        UserError: The folder is missing, or has no such split or no video in it.
    """
    folder = Path(folder)
    if not (folder / split).is_dir():
        what = f"has no {split}/" if folder.is_dir() else "is not a folder"
        raise UserError(f"{folder} {what}; {LAYOUT}")
    paths = list_videos(folder / split)
    if not paths:
        raise UserError(f"{folder / split} holds no video; {LAYOUT}")
    return paths


def list_corpus(
    folder: str | os.PathLike, lists: Mapping[str, str | os.PathLike] | None = None
) -> dict[str, list[Clip]]:
    """The clips of both splits.

    Args:
        folder: Holds `train/` and `test/`.
        lists: List files by split, for the splits that have one. They may name videos that are not there: whoever
            reads those will say so.

    Returns:
        {"train": clips, "test": clips}; neither is empty.

    Raises:
        UserError: As `list_split` and `read_list`.
    """
    lists = lists or {}
    corpus = {}
    for split in SPLITS:
        if split in lists:
            root = Path(folder) / split
            if not root.is_dir():
                raise UserError(f"there is no folder {root}; {LAYOUT}")
            corpus[split] = [Clip(root / video, frames) for video, frames in read_list(lists[split]).items()]
        else:
            corpus[split] = [Clip(path) for path in list_split(folder, split)]
    both = {clip.name for clip in corpus["train"]} & {clip.name for clip in corpus["test"]}
    if both:
        logger.warning("%d videos have the same name in train and test, such as %s", len(both), min(both))
    return corpus


def read_list(path: str | os.PathLike) -> dict[str, tuple[str, ...] | None]:
    """Read a list file: a line `VIDEO/FRAME` for each frame, or `VIDEO` for all of its frames.

    Returns:
        Names of the frames by video, in the file's order; None for all frames.

    Raises:
        UserError: The file is missing, empty, a pointer of Git LFS, or has a line of another form.
    """
    videos: dict[str, list[str]] = {}
    whole = set()
    for number, line in enumerate(_lines(path), 1):
        if number == 1 and line.startswith("version https://git-lfs"):
            raise UserError(f"{path} is a pointer of Git LFS, not the list itself; fetch it by `git lfs pull`")
        if not line:
            continue
        video, _, frame = line.partition("/")
        if not is_file_name(video) or (frame and not is_file_name(frame)):
            raise UserError(f"{path}, line {number}: '{line}'; expected VIDEO/FRAME or VIDEO, names without a path")
        frames = videos.setdefault(video, [])
        if frame:
            frames.append(sys.intern(frame))  # millions of lines have some hundred names
        else:
            whole.add(video)
    if not videos:
        raise UserError(f"{path} lists no video; expected lines VIDEO/FRAME")
    return {video: None if video in whole else tuple(dict.fromkeys(frames)) for video, frames in videos.items()}


def read_pair_list(path: str | os.PathLike, names: Sequence[str]) -> list[tuple[str, str]]:
    """Read pairs to animate: a CSV file with the columns `source` and `driving`, and others at will.

    Args:
        path: The file.
        names: Of the videos that there are; the file may leave their endings out.

    Returns:
        (source, driving) names, as in `names`.

    Raises:
        UserError: The file is missing, is no such CSV, or names a video that is not there or could be several.
    """
    try:
        rows = list(csv.DictReader(_lines(path), skipinitialspace=True))
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file ({error})") from error
    if not rows:
        raise UserError(f"{path} holds no pair; expected lines of source,driving")
    if not {"source", "driving"} <= set(rows[0]):
        raise UserError(f"{path} has no columns source and driving; expected a CSV file whose first line names them")
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(os.path.splitext(name)[0], []).append(name)
    known = set(names)

    def find(name: str | None, line: int) -> str:
        candidates = [name] if name in known else by_stem.get(name or "", [])
        if len(candidates) != 1:
            found = f"could be {' or '.join(candidates)}" if candidates else f"is none of the {len(known)} videos"
            raise UserError(f"{path}, line {line}: '{name}' {found}; expected a video's file name")
        return candidates[0]

    return [(find(row["source"], line), find(row["driving"], line)) for line, row in enumerate(rows, 2)]


def _lines(path: str | os.PathLike) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from (line.strip() for line in file)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); check the path") from error
