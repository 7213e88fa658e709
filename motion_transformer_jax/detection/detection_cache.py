"""Detections of real videos on disk: they are the same in every evaluation, and slow to make.

An entry is an `.npz` file named by the video and by a digest of its frames and of the detector: other frames, another
size or another detector miss it. Entries appear whole or not at all; damaged ones are made again. The cache lies in the
folder of the videos or in the user's cache folder, as decoded frames do, and may be deleted at any time.
"""

import hashlib
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.archives import is_packed
from motion_transformer_jax.data.folder_videos import cache_roots, first_writable, user_cache
from motion_transformer_jax.detection.detectors import Embeddings, IdentityEmbedder, KeypointDetector, Keypoints
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

_SUBFOLDER = "detections"
_LONGEST_STEM = 80  # characters of the video's name; the digest tells videos apart, the name is for people
_DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
    *(MemoryError, TypeError),  # of arrays that claim to be larger than they are, and of other ones
)

_Detections = TypeVar("_Detections", Keypoints, Embeddings)


class DetectionCache:
    """Detections of videos, kept in a folder; where none can be written, a warning is given and nothing is kept.

    Attributes:
        folder: of the entries; None when none can be written.
    """

    def __init__(self, videos: str | os.PathLike | None = None):
        """Open or make a cache.

        Args:
            videos: folder of the user's videos: the cache lies in it where it can be written. None for other data.
        """
        roots = cache_roots(Path(videos)) if videos else [user_cache()]
        try:
            self.folder: Path | None = first_writable([root / _SUBFOLDER for root in roots])
        except UserError as error:
            self._give_up(error)

    def detect(self, detector: KeypointDetector, name: str, frames: np.ndarray) -> Keypoints:
        """Keypoints of a real video: the kept ones, else `detector.detect(frames)`.

        Args:
            detector: its name is part of the key.
            name: of the video, to recognise the entry by.
            frames: uint8 `[T, S, S, 3]`, all that are wanted, in one array.
        """

        def is_sound(entry: Keypoints) -> bool:
            points, visible = entry.points, entry.visible
            return visible.ndim == 2 and points.shape == (len(frames), *visible.shape[1:], 2) == (*visible.shape, 2)

        return self._get(Keypoints, f"{detector.name} keypoints", name, frames, detector.detect, is_sound)

    def embed(self, embedder: IdentityEmbedder, name: str, frames: np.ndarray) -> Embeddings:
        """Embeddings of a real video: the kept ones, else `embedder.embed(frames)`; arguments as of `detect`."""

        def is_sound(entry: Embeddings) -> bool:
            vectors, present = entry.vectors, entry.present
            return vectors.ndim == 2 and present.shape == (len(frames),) == vectors.shape[:1]

        return self._get(Embeddings, f"{embedder.name} identities", name, frames, embedder.embed, is_sound)

    def _get(
        self,
        kind: type[_Detections],
        key: str,
        name: str,
        frames: np.ndarray,
        make: Callable[[np.ndarray], _Detections],
        is_sound: Callable[[_Detections], bool],
    ) -> _Detections:
        if self.folder is None:
            return make(frames)
        path = self.folder / _entry_name(name, key, frames)
        try:
            entry = _read(path, kind)
            if [array.dtype for array in vars(entry).values()] == [np.float32, bool] and is_sound(entry):
                return entry
        except _DAMAGED:
            pass
        entry = make(frames)
        try:
            with atomic_path(path) as temporary:
                _write(temporary, entry)
        except UserError as error:
            self._give_up(error)
        return entry

    def _give_up(self, error: UserError) -> None:
        logger.warning("detections are not kept for the next evaluation: %s", error)
        self.folder = None


def _entry_name(name: str, key: str, frames: np.ndarray) -> str:
    digest = hashlib.sha256(f"{key} {frames.shape}\n".encode())
    digest.update(np.ascontiguousarray(frames))
    stem = re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:_LONGEST_STEM]
    return f"{stem}.{digest.hexdigest()[:16]}.npz"


def _read(path: Path, kind: type[_Detections]) -> _Detections:
    with open(path, "rb") as file:  # opened here: NumPy leaves a damaged file open
        if is_packed(file):
            raise ValueError("compressed, as ours are not")
        with np.load(file, allow_pickle=False) as arrays:
            return kind(**arrays)


def _write(path: Path, entry: Keypoints | Embeddings) -> None:
    try:
        np.savez(path, **vars(entry))
    except OSError as error:
        raise UserError(f"cannot write {path.parent} ({error.strerror or error}); free some disk space") from error
