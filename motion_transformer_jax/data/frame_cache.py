"""Decoded videos on disk, so that any frame of any video is one short read.

Each video becomes one `.npy` file of uint8 `[T, S, S, 3]`, named by the video and by a fingerprint of its size and
modification time: a video that changed misses its old entry and is decoded again. Entries are written under a
temporary name and renamed, so that several processes may fill one cache.
"""

import dataclasses
import glob
import hashlib
import os
import secrets
import tokenize
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from motion_transformer_jax.errors import UserError

_LONGEST_STEM = 160  # bytes; file systems allow 255, and fingerprint and temporary suffix come on top


@dataclasses.dataclass(frozen=True)
class CachedVideo:
    """One decoded video.

    Attributes:
      path: of the `.npy` file.
      num_frames: T.
      size: side of a frame in pixels.
      offset: of the first frame in the file, in bytes.
    """

    path: Path
    num_frames: int
    size: int
    offset: int

    def frame(self, t: int) -> np.ndarray:
        """Frame `t` in [0, num_frames) as uint8 `[size, size, 3]`; IndexError outside."""
        if not 0 <= t < self.num_frames:
            raise IndexError(f"frame {t} of {self.path.name}, which has {self.num_frames}")
        length = self.size * self.size * 3
        # Opened for each read: thousands of memory maps would use up the process's open files.
        pixels = np.fromfile(self.path, np.uint8, length, offset=self.offset + t * length)
        return pixels.reshape(self.size, self.size, 3)


def find_entry(video: Path, folders: Sequence[Path], size: int) -> CachedVideo | None:
    """Look a video up in caches.

    Args:
      video: a file, or a folder of frames.
      folders: caches; the first that holds the video wins.
      size: side of the frames in pixels.

    Returns:
      The entry, or None when there is none or the video has changed since.
    """
    for folder in folders:
        entry = _open_entry(folder / _entry_name(video), size)
        if entry is not None:
            return entry
    return None


def write_entry(video: Path, frames: Iterable[np.ndarray], folder: Path, size: int) -> CachedVideo:
    """Store the frames of a video in place of its older entries.

    Args:
      video: the file, or folder of frames, that they come from.
      frames: uint8 `[size, size, 3]` each, consumed as a stream.
      folder: the cache; must exist.
      size: side of the frames in pixels.

    Returns:
      The new entry.

    Raises:
      UserError: for fewer than two frames, of which no pair can be made.
      OSError: when the cache cannot be written.
    """
    path = folder / _entry_name(video)
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            num_frames = _write_frames(file, frames, size)
        if num_frames < 2:
            raise UserError(f"{video} has {num_frames} frame(s); expected two at least")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for old in folder.glob(glob.escape(_entry_stem(video)) + ".????????????????.npy"):
        if old != path:
            old.unlink(missing_ok=True)
    entry = _open_entry(path, size)
    assert entry is not None
    return entry


def _write_frames(file, frames, size):
    """Header, then frames, then the header again with their number; returns the number."""
    _write_header(file, 0, size)
    start = file.tell()
    num_frames = 0
    for frame in frames:
        if frame.shape != (size, size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.dtype} {frame.shape}; expected uint8 of side {size}")
        file.write(frame.tobytes())
        num_frames += 1
    file.seek(0)
    _write_header(file, num_frames, size)
    # NumPy pads the header so that the first axis can grow in place.
    assert file.tell() == start
    return num_frames


def _write_header(file, num_frames, size):
    header = {"descr": "|u1", "fortran_order": False, "shape": (num_frames, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)


def _open_entry(path: Path, size: int) -> CachedVideo | None:
    """The entry at a path, or None when it is missing, damaged or of another size."""
    try:
        frames = np.lib.format.open_memmap(path, mode="r")  # np.load would also unpack an archive of that name
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, tokenize.TokenError):
        return None
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (size, size, 3):
        return None
    return CachedVideo(path, len(frames), size, frames.offset)


def _entry_name(video: Path) -> str:
    return f"{_entry_stem(video)}.{_fingerprint(video)}.npy"


def _entry_stem(video: Path) -> str:
    name = os.fsencode(video.name)
    if len(name) <= _LONGEST_STEM:
        return video.name
    return os.fsdecode(name[: _LONGEST_STEM - 17] + b"-") + hashlib.sha256(name).hexdigest()[:16]


def _fingerprint(video: Path) -> str:
    """16 hexadecimal digits that change when the file, or a file of the folder, does."""
    files = sorted(video.iterdir()) if video.is_dir() else [video]
    digest = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
        except OSError:  # a dangling link; whoever reads it will say so
            continue
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
