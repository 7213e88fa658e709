"""Shards of a prepared dataset: each is written by itself, whole or not at all, by whatever runs it.

Beside a finished shard `NAME` lies `NAME.json`, which tells what is in it and what it was made from: a second run finds
it and goes on to the next. Local processes and Apache Beam run the same function.
"""

import concurrent.futures
import concurrent.futures.process
import contextlib
import dataclasses
import hashlib
import json
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core.example_serializer import ExampleSerializer
from tqdm import tqdm

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.corpus import Clip, identity
from motion_transformer_jax.data.frame_records import FrameFormat, clip_fps, encoded_frames
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

# One record a group, for random access; images do not compress further.
_WRITER_OPTIONS = "group_size:1,uncompressed"
_FORMAT = 1  # of shards and their sidecars; a change makes older ones be written again


def frame_features(size: int) -> tfds.features.FeaturesDict:
    """What a record holds: an encoded image [size, size, 3], its video's place in the split, its own in the video."""
    return tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(size, size, 3)), "video": np.int64, "frame": np.int64}
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
        path: Of the file; what tells of it lies beside it.
        clips: In order.
        first_video: Place of the first clip in its split.
        frame_format: What frames become.
    """

    path: Path
    clips: tuple[Clip, ...]
    first_video: int
    frame_format: FrameFormat

    @property
    def sidecar(self) -> Path:
        """Of the file that says what is in the shard."""
        return self.path.with_name(f"{self.path.name}.json")

    def digest(self) -> str:
        """A fingerprint of what the shard is made from: settings, names, sizes and times of the videos."""
        digest = hashlib.sha256(repr((_FORMAT, self.first_video, self.frame_format)).encode())
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
    except (OSError, ValueError, TypeError):
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
    with atomic_path(shard.path) as temporary:
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


def write_shards(
    shards: Sequence[Shard], *, jobs: int = 1, beam_runner: str | None = None, beam_options: Sequence[str] = ()
) -> None:
    """Write the shards that are not finished, with a progress bar on a terminal.

    Args:
        shards: All of them.
        jobs: Local processes.
        beam_runner: Of the pipeline that does it instead; see `write_with_beam`.
        beam_options: Of the pipeline.

    Raises:
        UserError: As `write_locally` and `write_with_beam`, and when videos change meanwhile.
    """
    unfinished = [shard for shard in shards if read_contents(shard) is None]
    if len(unfinished) < len(shards):
        logger.info("%d of %d shards are finished already", len(shards) - len(unfinished), len(shards))
    total = sum(len(shard.clips) for shard in unfinished)
    with tqdm(total=total, desc="preparing", unit="video", disable=None) as bar:
        if beam_runner is not None:
            write_with_beam(unfinished, beam_runner, beam_options)
        else:
            for shard in write_locally(unfinished, jobs):
                bar.update(len(shard.clips))
    lost = [shard.path for shard in unfinished if read_contents(shard) is None]
    if lost:
        raise UserError(
            f"{len(lost)} shards such as {lost[0]} are not as they should be: videos changed while they were read, or "
            "the pipeline's workers do not see the same files; run the same command again"
        )


def write_locally(shards: Sequence[Shard], jobs: int) -> Iterator[Shard]:
    """Write shards in this machine's processes.

    Args:
        shards: What to write.
        jobs: Processes at once; 1 for this one alone.

    Yields:
        Each shard as it is finished, in any order.

    Raises:
        UserError: As `write_shard`, of the first that fails. Others that run are left unfinished.
    """
    if jobs == 1 or len(shards) < 2:
        for shard in shards:
            write_shard(shard)
            yield shard
        return
    # Not forked: JAX and FFmpeg have threads.
    executor = concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(shards)), multiprocessing.get_context("spawn"), initializer=_follow_parent
    )
    try:
        futures = {executor.submit(write_shard, shard): shard for shard in shards}
        for future in concurrent.futures.as_completed(futures):
            future.result()
            yield futures[future]
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "a process was killed, perhaps for want of memory; run the same command again, with fewer --jobs"
        ) from error
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():  # a shard can take minutes
            process.terminate()
        raise
    executor.shutdown()


def _follow_parent() -> None:
    """Ctrl-C reaches every process, and the main one tells the others; when that one is killed, they end too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def write_with_beam(shards: Sequence[Shard], runner: str, options: Sequence[str]) -> None:
    """Write shards by an Apache Beam pipeline; its workers must see the same files under the same paths.

    Args:
        shards: What to write.
        runner: Name of a Beam runner: "DirectRunner", "DataflowRunner", "FlinkRunner", "SparkRunner", ...
        options: Beam's own, such as "--project=NAME".

    Raises:
        UserError: Beam is not installed, does not know the runner, or the pipeline fails.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError("Apache Beam is not installed; pip install 'motion_transformer_jax[beam]'") from error
    try:
        with beam.Pipeline(runner=runner, options=PipelineOptions(list(options))) as pipeline:
            _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(write_shard)
    except (Exception, SystemExit) as error:  # runners raise what they like, and bad options exit
        raise UserError(f"the pipeline on {runner} failed: {error}") from error
