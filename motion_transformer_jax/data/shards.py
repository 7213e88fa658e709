"""Shards of a prepared dataset: each is written by itself, whole or not at all, by whatever runs it.

Beside a finished shard `NAME` lies `NAME.json`, which tells what is in it and what it was made from: a second run finds
it and goes on to the next.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.corpus import Clip, identity
from motion_transformer_jax.data.frame_records import FrameFormat, clip_fps, encoded_frames
from motion_transformer_jax.data.limits import DEFAULT_LIMITS, MediaLimits, applied
from motion_transformer_jax.data.prepared_dataset import frame_features
from motion_transformer_jax.errors import UserError

# One record a group, for random access; images do not compress further.
_WRITER_OPTIONS = "group_size:1,uncompressed"
_FORMAT = 1  # of shards and their sidecars; a change makes older ones be written again


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
        path: Of the file; what tells of it lies beside it.
        clips: In order.
        first_video: Place of the first clip in its split.
        frame_format: What frames become.
        limits: A clip over them is unusable.
    """

    path: Path
    clips: tuple[Clip, ...]
    first_video: int
    frame_format: FrameFormat
    limits: MediaLimits = DEFAULT_LIMITS

    @property
    def sidecar(self) -> Path:
        """Of the file that says what is in the shard."""
        return self.path.with_name(f"{self.path.name}.json")

    def digest(self) -> str:
        """A fingerprint of what the shard is made from: settings, names, sizes and times of the videos."""
        digest = hashlib.sha256(repr((_FORMAT, self.first_video, self.frame_format, self.limits)).encode())
        for clip in self.clips:
            entry = (clip.name, clip.frames, _size_and_time(clip.path), _listing(clip.path))
            digest.update(repr(entry).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _size_and_time(path: str | os.PathLike) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:  # whoever reads it will say so
        return None
    return status.st_size, status.st_mtime_ns


def _listing(path: Path) -> list[tuple]:
    """Names, sizes and times of the files of a folder; a folder's own time tells nothing of files that are mended."""
    try:
        return sorted((entry.name, _size_and_time(entry)) for entry in os.scandir(path))
    except OSError:
        return []


@dataclasses.dataclass(frozen=True)
class ShardContents:
    """What a finished shard holds.

    Attributes:
        digest: Of what it was made from.
        num_records: Frames in the file.
        videos: A dict for each usable video: name, identity, fps, video (place in the split), first (record in the
            shard), frames.
        skipped: (name, reason) of each video that could not be used.
        damaged: (name, what was wrong) of each video of which a part could be used.
    """

    digest: str
    num_records: int
    videos: list[dict]
    skipped: list[list[str]]
    damaged: list[list[str]]


def read_contents(shard: Shard) -> ShardContents | None:
    """What a finished shard holds; None where it is not finished, or was made from something else."""
    try:
        contents = ShardContents(**json.loads(shard.sidecar.read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return contents if contents.digest == shard.digest() and shard.path.is_file() else None


def write_shard(shard: Shard) -> None:
    """Write a shard and its sidecar, unless it is finished.

    Raises:
        UserError: The disk is full or cannot be written.
    """
    if read_contents(shard) is not None:
        return
    shard.sidecar.unlink(missing_ok=True)
    digest = shard.digest()  # before anything is read: what changes meanwhile must be read again
    with atomic_path(shard.path) as temporary, applied(shard.limits):
        contents = _write_records(shard, temporary, digest)
    with atomic_path(shard.sidecar) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(contents)))


def _write_records(shard: Shard, path: Path, digest: str) -> ShardContents:
    features = frame_features(shard.frame_format.size)
    serializer = ExampleSerializer(features.get_serialized_info())
    videos, skipped, damaged, num_records = [], [], [], 0
    with _record_writer(path, shard.path) as writer:
        for place, clip in enumerate(shard.clips, shard.first_video):
            warnings, frames, fps = [], 0, 0.0
            try:
                fps = clip_fps(clip)
                for encoded in _at_least_two(encoded_frames(clip, shard.frame_format, warnings.append)):
                    example = {"image": encoded, "video": place, "frame": frames}
                    record = serializer.serialize_example(features.encode_example(example))
                    with _write_errors(shard.path):
                        writer.write(record)
                    frames += 1
            except _WriteError:
                raise
            except (UserError, OSError) as error:
                if not frames:
                    skipped.append([clip.name, str(error)])
                    continue
                warnings.append(str(error))
            lies = {"video": place, "first": num_records, "frames": frames}
            videos.append({"name": clip.name, "identity": identity(clip.name), "fps": fps, **lies})
            damaged.extend([clip.name, warning] for warning in warnings)
            num_records += frames
    return ShardContents(digest, num_records, videos, skipped, damaged)


@contextlib.contextmanager
def _record_writer(path: Path, target: Path) -> Iterator[ArrayRecordWriter]:
    """An open writer, which says when it is closed what the system refused."""
    with _write_errors(target):
        writer = ArrayRecordWriter(os.fspath(path), _WRITER_OPTIONS)
    try:
        yield writer
    except BaseException:
        with contextlib.suppress(RuntimeError):
            writer.close()
        raise
    with _write_errors(target):
        writer.close()


@contextlib.contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = re.split(r"[;\n]", str(error))[0]
        raise _WriteError(
            f"cannot write {target} ({reason}); what was finished stays valid: make room and run the same command again"
        ) from error


class _WriteError(UserError):
    """The disk's fault, not a video's."""


def _at_least_two(frames: Iterator[bytes]) -> Iterator[bytes]:
    """The same frames; a UserError instead of a single one, of which no pair can be made."""
    try:
        first, second = next(frames), next(frames)
    except StopIteration:
        raise UserError("it has fewer than two frames") from None
    yield from (first, second)
    yield from frames
