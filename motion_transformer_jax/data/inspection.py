"""A look at a prepared dataset: what is in it, and what training sees of it."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.data.augment import Augmentation, augment_pair
from motion_transformer_jax.data.pairs import PairSource
from motion_transformer_jax.data.prepared_dataset import open_dataset
from motion_transformer_jax.data.prepared_videos import PreparedVideos
from motion_transformer_jax.viz.sheet import contact_sheet

_COLUMNS = ("split", "videos", "identities", "frames", "frames a video", "fps", "size", "MiB")


def describe_dataset(folder: str | os.PathLike) -> str:
    """A table of a dataset's splits, and what is odd about them.

    Args:
      folder: the dataset's own folder.

    Raises:
      UserError: as `open_dataset`.
    """
    builder = open_dataset(folder)
    videos, size = builder.info.metadata["videos"], builder.info.metadata["size"]
    rows = [_COLUMNS]
    for split, rows_of_split in videos.items():
        lengths = np.array([video["frames"] for video in rows_of_split])
        fps = np.array([video["fps"] for video in rows_of_split])
        identities = {video["identity"] for video in rows_of_split}
        num_bytes = sum(Path(path).stat().st_size for path in builder.info.splits[split].filepaths)
        rows.append(
            (
                split,
                f"{len(rows_of_split):,}",
                f"{len(identities):,}",
                f"{lengths.sum():,}",
                f"{lengths.min()} / {np.median(lengths):g} / {lengths.max()}",
                f"{fps.min():.3g}" if fps.min() == fps.max() else f"{fps.min():.3g} to {fps.max():.3g}",
                f"{size}x{size}",
                f"{num_bytes / 2**20:,.1f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [f"{folder}", "", *lines, "", "frames a video: least / median / most"]
    train, test = ({video["identity"] for video in videos[split]} for split in ("train", "test"))
    if train & test:
        lines.append(
            f"Note: {len(train & test)} identities are in both splits, such as {_printable(min(train & test))}"
        )
    if pairs := builder.info.metadata["pairs"]:
        lines.append(f"pairs to animate: {len(pairs)}")
    return "\n".join(lines)


def _printable(name: str) -> str:
    """A file's name, which need not be text."""
    return name.encode("utf-8", "backslashreplace").decode()


def draw_pairs(
    folder: str | os.PathLike, augmentation: Augmentation, *, seed: int = 0, num_pairs: int = 6
) -> np.ndarray:
    """A contact sheet of random training pairs, as they are and augmented.

    Args:
      folder: the dataset's own folder.
      augmentation: what may happen to them.
      seed: of the choice of pairs and of the augmentation.
      num_pairs: rows.

    Returns:
      uint8 `[H, W, 3]`.

    Raises:
      UserError: as `open_dataset`.
    """
    size = open_dataset(folder).info.metadata["size"]
    source = PairSource(PreparedVideos(folder, split="train", size=size), repeats=1, seed=seed)
    records = np.random.default_rng(seed).integers(len(source), size=num_pairs)
    pairs = [source[int(record)] for record in records]
    before = [np.stack([pair[name] for pair in pairs]) for name in ("source", "driving")]
    keys = jax.random.split(jax.random.key(seed), num_pairs)
    after = augment_pair(keys, *(jnp.asarray(frames, jnp.float32) / 255 for frames in before), augmentation)
    return contact_sheet(
        list(zip(*before, *map(np.asarray, after), strict=True)),
        column_labels=("source", "driving", "source, augmented", "driving, augmented"),
    )
