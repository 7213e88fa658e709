"""Speed of the data pipeline, beside the official way of loading, on the same frames in the same run."""

import dataclasses
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from motion_transformer_jax.benchmarks.plain_loader import PlainPairs
from motion_transformer_jax.data.augment import Augmentation, augment_pair
from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.corpus import Clip, list_split
from motion_transformer_jax.data.frame_records import FrameFormat, encoded_frames
from motion_transformer_jax.data.pairs import PairBatches, PairSource
from motion_transformer_jax.data.puppets import PuppetVideos, write_puppets
from motion_transformer_jax.data.video_sources import create_videos

REPEATS = 5
_WARM_UP = 12


@dataclasses.dataclass(frozen=True)
class LoaderSpeed:
    """How fast one way of loading is.

    Attributes:
      name: of the way.
      workers: processes beside the main one.
      pairs_per_second: by the clock, median of the repeats.
      spread: (lowest, highest) of them.
      pairs_per_core_second: by the time that processor cores worked, median too; None with other processes at work.
      memory_mib: of all processes, after the first repeat and after the last; None where the system does not tell.
    """

    name: str
    workers: int
    pairs_per_second: float
    spread: tuple[float, float]
    pairs_per_core_second: float | None
    memory_mib: tuple[float, float] | None


def measure_loaders(
    augmentation: Augmentation,
    *,
    source: Path | None,
    size: int,
    batch_size: int,
    num_batches: int,
    workers: Sequence[int],
) -> list[LoaderSpeed]:
    """Time the official way, and ours from PNG and JPEG with each number of workers, augmentation included.

    Args:
      augmentation: of both; rotation and resizing are ours alone.
      source: a folder with `train/` of videos; None draws puppets.
      size: side of the frames in pixels.
      batch_size: pairs.
      num_batches: timed at a stretch.
      workers: numbers of processes to try.

    Returns:
      The official way first.

    Raises:
      UserError: the folder holds no video.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if source is None:
            source = folder / "puppets"
            clips = {"num_identities": 4, "clips_per_identity": 2, "num_frames": 32, "size": size}
            write_puppets(source, PuppetVideos(split="train", **clips))
        for encoding in ("png", "jpeg"):
            _write_frame_folders(source, folder / encoding, FrameFormat(size, encoding=encoding))
            _prepare(folder / encoding, folder / f"{encoding}-prepared", size)
        plain = PlainPairs(folder / "png" / "train", augmentation)
        speeds = [_measure("official way, PNG files", 0, lambda: plain.batch(batch_size), batch_size, num_batches)]
        for encoding in ("png", "jpeg"):
            for count in workers:
                prepared = folder / f"{encoding}-prepared"
                options = {"batch_size": batch_size, "worker_count": count}
                speeds.append(_measure_ours(prepared, encoding, size, augmentation, num_batches, options))
    return speeds


def _write_frame_folders(source: Path, folder: Path, frame_format: FrameFormat) -> None:
    ending = {"png": ".png", "jpeg": ".jpg"}[frame_format.encoding]
    for path in list_split(source, "train"):
        target = folder / "train" / path.name
        target.mkdir(parents=True)
        for t, encoded in enumerate(encoded_frames(Clip(path), frame_format, lambda warning: None)):
            (target / f"{t:07d}{ending}").write_bytes(encoded)
    (folder / "test").mkdir()  # a dataset has two splits; this one's second is not read
    (folder / "test" / "unread").symlink_to(target, target_is_directory=True)


def _prepare(source: Path, out: Path, size: int) -> None:
    prepare_dataset("folder", out, Preparation(source=source, frame_format=FrameFormat(size)))


def _measure_ours(
    prepared: Path, encoding: str, size: int, augmentation: Augmentation, num_batches: int, options: dict
) -> LoaderSpeed:
    videos = create_videos("train", kind="folder", folder=str(prepared), image_size=size)
    reader = PairBatches(PairSource(videos, repeats=1000), seed=0, transfer=jax.device_put, **options)
    step = 0

    @jax.jit
    def augment(step: jax.Array, batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), step), len(batch["source"]))
        frames = (batch[name].astype(np.float32) / 255 for name in ("source", "driving"))
        return augment_pair(keys, *frames, augmentation)

    def load() -> None:
        nonlocal step
        jax.block_until_ready(augment(np.int32(step), next(reader)))
        step += 1

    name = f"ours, {encoding.upper()}"
    try:
        return _measure(name, options["worker_count"], load, options["batch_size"], num_batches)
    finally:
        reader.close()


def _measure(name: str, workers: int, load: Callable[[], object], batch_size: int, num_batches: int) -> LoaderSpeed:
    for _ in range(_WARM_UP):  # compiles, starts workers, and fills what is read ahead
        load()
    rates, core_rates, memory = [], [], []
    for _ in range(REPEATS):
        start, worked = time.perf_counter(), time.process_time()
        for _ in range(num_batches):
            load()
        rates.append(num_batches * batch_size / (time.perf_counter() - start))
        core_rates.append(num_batches * batch_size / (time.process_time() - worked))
        memory.append(_memory_mib())
    return LoaderSpeed(
        name,
        workers,
        pairs_per_second=statistics.median(rates),
        spread=(min(rates), max(rates)),
        pairs_per_core_second=None if workers else statistics.median(core_rates),
        memory_mib=None if None in memory else (memory[0], memory[-1]),
    )


def _memory_mib() -> float | None:
    """What this process and its workers hold at the moment."""
    processes = [os.getpid(), *(process.pid for process in multiprocessing.active_children())]
    try:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes)
    except OSError:  # Linux alone has these files
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
