"""A prepared dataset, opened as found: it may come from anywhere, so everything in its files is checked before use.

TensorFlow Datasets imports whatever module a dataset's `features.json` names. Ours have one set of features, so that
file is not read at all.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info
from tensorflow_datasets.core.read_only_builder import ReadOnlyBuilder

from motion_transformer_jax.data.confinement import is_file_name
from motion_transformer_jax.data.limits import current_limits
from motion_transformer_jax.errors import UserError

NAME = "motion_videos"
VERSION = tfds.core.Version("1.0.0")
METADATA_FILE = "metadata.json"
_AGAIN = "remove it, and prepare it again with `motrans prepare`"


def frame_features(size: int) -> tfds.features.FeaturesDict:
    """What a record holds: an encoded image [size, size, 3], its video's place in the split, its own in the video."""
    return tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(size, size, 3)), "video": np.int64, "frame": np.int64}
    )


def open_dataset(folder: str | os.PathLike) -> tfds.core.DatasetBuilder:
    """The TFDS builder of a prepared dataset, found whole.

    Args:
        folder: The dataset's own, `OUT/motion_videos/NAME/VERSION`.

    Raises:
        UserError: It is of another version than this program writes, damaged, no dataset of videos, or points outside
            of its folder.
    """
    try:
        builder = _FrameReader(os.path.abspath(folder))
        files = {split.name: [Path(path) for path in split.filepaths] for split in builder.info.splits.values()}
    except Exception as error:  # TFDS raises nearly anything on a damaged folder
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} cannot be read as a prepared dataset ({reason}); {_AGAIN}") from error
    if builder.name != NAME:
        raise UserError(f"{folder} holds the dataset {builder.name}, not videos prepared by `motrans prepare`")
    if builder.version.major != VERSION.major:
        raise UserError(f"{folder} was prepared in version {builder.version}, this program reads {VERSION}; {_AGAIN}")
    _check_files(Path(folder), files, builder.info.splits)
    if problem := _find_problem(builder.info.metadata, builder.info.splits):
        raise UserError(f"{folder}: {METADATA_FILE} {problem}; {_AGAIN}")
    return builder


class _FrameReader(ReadOnlyBuilder, skip_registration=True):
    """TFDS's builder of a folder, with features from here in place of those that the folder's files name."""

    def __init__(self, builder_dir: str):
        size = json.loads((Path(builder_dir) / METADATA_FILE).read_text("utf-8"))["size"]
        if not _is_count(size, 1) or size**2 > current_limits().max_pixels:
            raise ValueError(f"size {size!r}")
        info = dataset_info.read_proto_from_builder_dir(builder_dir)
        info.features.CopyFrom(frame_features(size).to_proto())
        super().__init__(builder_dir, info_proto=info)


def _check_files(folder: Path, files: Mapping[str, Sequence[Path]], splits: Mapping[str, Any]) -> None:
    for split, paths in files.items():
        outside = next((path for path in paths if path.parent != folder.absolute()), None)
        if outside is not None:
            raise UserError(f"{folder} names a file outside of itself, {outside}; {_AGAIN}")
        lacking = next((path for path in paths if not path.is_file()), None)
        if lacking is not None:
            raise UserError(f"{folder} lacks {lacking.name}; {_AGAIN}")
        size, expected = sum(path.stat().st_size for path in paths), int(splits[split].num_bytes)
        if size != expected:
            raise UserError(f"the files of {split} in {folder} have {size} bytes, not {expected}; {_AGAIN}")


def _find_problem(metadata: Mapping[str, Any], splits: Mapping[str, Any]) -> str | None:
    """What is wrong with a dataset's metadata, or None."""
    videos, pairs = metadata.get("videos"), metadata.get("pairs")
    if not isinstance(videos, dict) or not {"train", "test"} <= videos.keys() <= splits.keys():
        return "has no videos of train and test"
    for split, rows in videos.items():
        if not isinstance(rows, list):
            return f"has no list of {split}'s videos"
        num_records = splits[split].num_examples
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("name"), str):
                return f"has a video of {split} without a name"
            if not is_file_name(row["name"]):
                return f"names a video {row['name']!r}, which is no file's name"
            if not isinstance(row.get("identity"), str) or not isinstance(row.get("fps"), (int, float)):
                return f"does not tell identity and rate of {row['name']!r}"
            first, frames = row.get("first"), row.get("frames")
            if not (_is_count(first, 0) and _is_count(frames, 2) and first + frames <= num_records):
                return f"places {row['name']!r} outside of {split}'s {num_records} records"
    if not isinstance(metadata.get("digest"), str):
        return "has no digest"
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs
    ):
        return "has no list of pairs"
    return None


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
