"""The videos that an evaluation runs over."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.data.folder_videos import FolderVideos
from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.data.prepared_videos import PreparedVideos, find_prepared
from motion_transformer_jax.data.video import probe_video
from motion_transformer_jax.data.video_sources import VideoSource, create_videos
from motion_transformer_jax.errors import UserError

PUPPETS = "puppets"


@dataclasses.dataclass(frozen=True)
class TestSet:
    """Videos of one split at the model's size.

    Attributes:
        name: of the dataset, such as "vox256" or "puppets".
        split: "test" or "train".
        image_size: side of the frames in pixels.
        videos: the frames.
        pairs: (source, driving) names that the dataset asks to animate; empty where it does not.
        notices: what a reader of the figures must know, a line each.
    """

    __test__ = False  # not a test of pytest's

    name: str
    split: str
    image_size: int
    videos: VideoSource
    pairs: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.videos.names)

    @property
    def num_frames(self) -> int:
        """Of all videos."""
        return sum(self.videos.num_frames(index) for index in range(len(self)))

    @property
    def annotated(self) -> bool:
        """Whether the true joints are known; a folder of the user's may be named puppets, too."""
        return hasattr(self.videos, "annotations")

    def frames(self, index: int) -> Iterator[np.ndarray]:
        """Streams a video, uint8 [S, S, 3] each."""
        return (self.videos.frame(index, t) for t in range(self.videos.num_frames(index)))


def open_test_set(
    config: ConfigDict, data: str | os.PathLike = "", *, split: str = "test", markers: bool | None = None
) -> TestSet:
    """Opens the data that a model is to be evaluated on.

    Args:
        config: that the model was trained with.
        data: folder of a prepared dataset, or with `train/` and `test/` of videos; "puppets"; empty: what the model was
            trained on.
        split: "test" or "train".
        markers: puppets with colour-marked joints; None: as in training.

    Raises:
        UserError: there is no such data, or no such split in it.
    """
    size = config.model.image_size
    data = os.fspath(data) or (PUPPETS if config.data.kind == "puppets" else config.data.folder)
    if not data:
        raise UserError("the checkpoint does not say what it was trained on; name the data with --data DIR|puppets")
    if data == PUPPETS:
        puppets = {name: value for name, value in config.data.items() if name.startswith("puppet_")}
        if markers is not None:
            puppets["puppet_markers"] = markers
        videos = create_videos(split, kind="puppets", image_size=size, seed=config.seed, **puppets)
        return TestSet(PUPPETS, split, size, videos)
    if not Path(data).is_dir():
        raise UserError(f"there is no folder {data}; expected a prepared dataset, a folder of videos, or 'puppets'")
    prepared = find_prepared(data)
    if prepared is None:
        return _open_folder(Path(data), split, size)
    return _open_prepared(prepared, split, size)


def _open_folder(folder: Path, split: str, size: int) -> TestSet:
    videos = FolderVideos(folder, split=split, size=size)
    first = probe_video(folder / split / videos.names[0])
    return TestSet(folder.resolve().name, split, size, videos, notices=_notices((first.width, first.height), size))


def _notices(frame_size: tuple[int, int], size: int) -> list[str]:
    if frame_size == (size, size):
        return []
    width, height = frame_size
    return [
        f"the dataset's frames of {width}x{height} px were resized to the model's {size}x{size} px; "
        "figures of other sizes do not compare"
    ]


def _open_prepared(folder: Path, split: str, size: int) -> TestSet:
    videos = PreparedVideos(folder, split=split)
    notices = _notices((videos.size, videos.size), size)
    if not videos.names:
        raise UserError(f"{folder} has no video in its split {split}; prepare it with one, or choose another --split")
    name = folder.parent.name
    return TestSet(name, split, size, _Resized(videos, size) if notices else videos, videos.pairs, notices)


class _Resized:
    """Videos at another size."""

    def __init__(self, videos: VideoSource, size: int):
        self._videos, self._size = videos, (size, size)
        self.names = videos.names

    def num_frames(self, index: int) -> int:
        return self._videos.num_frames(index)

    def frame(self, index: int, t: int) -> np.ndarray:
        return resize_image(self._videos.frame(index, t), self._size)


def first_videos(test_set: TestSet, count: int) -> TestSet:
    """The same with its first `count` videos alone, or all where there are fewer."""
    return dataclasses.replace(test_set, videos=_First(test_set.videos, count))


class _First:
    """The first videos of a source, with all that it offers."""

    def __init__(self, videos: VideoSource, count: int):
        self._videos = videos
        self.names = videos.names[:count]

    def __getattr__(self, name: str):
        return getattr(self._videos, name)
