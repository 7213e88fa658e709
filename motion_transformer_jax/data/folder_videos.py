"""The user's videos: a folder with `train/` and `test/`, decoded once into a cache of frames.

The cache lies beside the videos, in `FOLDER/.cache-motion-transformer/SIZE/SPLIT/`, or, where that cannot be written,
in `~/.cache/motion_transformer_jax/` (`$XDG_CACHE_HOME` is heeded). It takes SIZE² × 3 bytes a frame, 196 kB at
256×256, and may be deleted at any time.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from motion_transformer_jax.data.corpus import LAYOUT, list_split
from motion_transformer_jax.data.frame_cache import CachedVideo, find_entry, write_entry
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)


class FolderVideos:
    """The videos of `FOLDER/SPLIT` at one size, any frame at hand.

    Making it decodes what is not in the cache yet, with a progress bar on a terminal. Videos that cannot be read, or
    have fewer than two frames, are left out with one warning each.

    Attributes:
      names: of the videos: their file names, in natural order.
    """

    def __init__(self, folder: str | os.PathLike, *, split: str, size: int, progress: bool = True):
        """Open a folder.

        Args:
          folder: holds `train/` and `test/`.
          split: "train" or "test".
          size: side of the frames in pixels; other shapes are resized to it.
          progress: show a bar when standard error is a terminal.

        Raises:
          UserError: for a folder that is missing, has no such split or no usable video, and when no cache can be
            written.
        """
        if not os.fspath(folder):
            raise UserError(f"no folder of videos is given; {LAYOUT}; pass --config.data.folder=DIR")
        paths = list_split(folder, split)
        caches = [root / str(size) / split for root in cache_roots(Path(folder))]
        entries = [find_entry(path, caches, size) for path in paths]
        missing = [index for index, entry in enumerate(entries) if entry is None]
        if missing:
            cache = first_writable(caches)
            bar = tqdm(missing, f"decoding {split} videos", unit="video", disable=None if progress else True)
            for index in bar:
                entries[index] = _decode(paths[index], cache, size)
        self._entries: list[CachedVideo] = [entry for entry in entries if entry is not None]
        self.names = [path.name for path, entry in zip(paths, entries, strict=True) if entry is not None]
        if not self.names:
            raise UserError(f"{Path(folder) / split}: none of its {len(paths)} videos can be used; {LAYOUT}")

    def num_frames(self, index: int) -> int:
        """Number of frames of a video, at least 2."""
        return self._entries[index].num_frames

    def frame(self, index: int, t: int) -> np.ndarray:
        """Frame `t` of a video as uint8 `[size, size, 3]`."""
        return self._entries[index].frame(t)


def user_cache() -> Path:
    """Where this package may keep what it can make again; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motion_transformer_jax"


def cache_roots(folder: Path) -> list[Path]:
    """Where what is made of a folder's videos may lie, in order of preference."""
    resolved = folder.resolve()
    key = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    return [folder / ".cache-motion-transformer", user_cache() / f"{resolved.name}-{key}"]


def first_writable(caches: list[Path]) -> Path:
    """The first cache that can be written, made if need be.

    Raises:
        UserError: none can.
    """
    for cache in caches:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                return cache
        except OSError:
            continue
    raise UserError(
        f"cannot write to {' nor to '.join(map(str, caches))}; expected one folder for what is kept of the videos; "
        "make one writable or set XDG_CACHE_HOME to a folder that is"
    )


def _decode(path: Path, cache: Path, size: int) -> CachedVideo | None:
    """Decode a video into the cache; None, with a warning, when it is of no use."""
    try:
        return write_entry(path, _frames(path, size), cache, size)
    except UserError as error:
        logger.warning("skipping video: %s", error)
        return None
    except OSError as error:
        raise UserError(
            f"cannot write decoded frames to {cache}: {error.strerror}; "
            "free some disk space, or set XDG_CACHE_HOME to a folder with more and delete this one"
        ) from error


def _frames(path: Path, size: int) -> Iterator[np.ndarray]:
    try:
        yield from read_frames(path, size=(size, size))
    except OSError as error:  # of reading, told from those of writing the cache
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
