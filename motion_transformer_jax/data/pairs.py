"""Training pairs: two frames of one video, drawn by Grain.

Everything is a function of (seed, position): position p of the endless stream belongs to epoch p // len, the shuffle of
that epoch says which record it is, and the record's own generator says which frames. A reader's state is therefore
one number, and any number of processes and workers read the same stream.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.video_sources import VideoSource
from motion_transformer_jax.errors import UserError

# A thread prepares a whole batch; at 256×256 a batch of 64 pairs takes 25 MB.
_READ_OPTIONS = grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)
_BATCHES_ON_DEVICE = 2


class PairSource(grain.sources.RandomAccessDataSource):
    """Pairs of frames, each a function of (seed, index).

    An epoch has `repeats` records of each video, or of each identity when asked. The two frames are drawn
    independently, as in the official code, so that once in a while they are the same; the earlier one is the source
    (augmentation may exchange them).
    """

    def __init__(
        self, videos: VideoSource, *, repeats: int, by_identity: bool = False, joints: bool = False, seed: int = 0
    ):
        """Count the records of an epoch.

        Args:
          videos: where frames come from.
          repeats: records of each video, or identity, in an epoch; at least 1.
          by_identity: choose one of the identity's videos first, so that identities weigh the same however many videos
            they have.
          joints: add those of the driving frame; the videos must be `AnnotatedVideos`.
          seed: of the choice of frames; >= 0.

        Raises:
          UserError: when `repeats` is below 1.
        """
        if repeats < 1:
            raise UserError(f"data.repeats is {repeats}; expected at least 1 pair from each video in an epoch")
        self._videos = videos
        self._joints = joints
        self._seed = seed
        self._repeats = repeats
        identities: dict[str | int, list[int]] = {}
        for index, name in enumerate(videos.names):
            identities.setdefault(identity(name) if by_identity else index, []).append(index)
        self._groups = list(identities.values())

    def __len__(self) -> int:
        """Records in an epoch."""
        return self._repeats * len(self._groups)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Pair `index`, which may lie beyond the first epoch: `index + len` is the same record, drawn anew.

        Returns:
          `source` and `driving`, uint8 `[S, S, 3]` each; where asked for, `driving_joints`, float32 `[J, 2]`.
        """
        video, times = self.choose(index)
        source, driving = (self._videos.frame(video, t) for t in times)
        pair = {"source": source, "driving": driving}
        return pair | {"driving_joints": self._videos.annotations(video)[0][times[1]]} if self._joints else pair

    def choose(self, index: int) -> tuple[int, tuple[int, int]]:
        """Which frames pair `index` takes: the video and the two times, without reading them."""
        group = self._groups[index % len(self._groups)]
        # Counter-based: no state, and no two (seed, index) share numbers.
        rng = np.random.Generator(np.random.Philox(key=np.array([self._seed, index], np.uint64)))
        video = group[rng.integers(len(group))]
        source, driving = sorted(rng.integers(self._videos.num_frames(video), size=2).tolist())
        return video, (source, driving)


class PairBatches(Iterator):
    """Batches of pairs, in an order fixed by the seed; read ahead in the background.

    Batch n of all shards, one behind the other, is the same however many shards there are, and however many workers.
    """

    def __init__(
        self,
        source: PairSource,
        *,
        batch_size: int,
        seed: int,
        num_epochs: int | None = None,
        shuffle: bool = True,
        worker_count: int = 0,
        shard: tuple[int, int] = (0, 1),
        transfer: Callable[[Mapping[str, np.ndarray]], Any] | None = None,
    ):
        """Plan the batches; nothing is read before the first is asked for.

        Args:
          source: the pairs.
          batch_size: pairs in a batch of this shard.
          seed: of the order.
          num_epochs: None for ever.
          shuffle: in a new order each epoch.
          worker_count: processes that read; 0 for threads of this process.
          shard: (index, count): this process's and how many there are.
          transfer: takes a batch to the devices; the next two lie there ready. None leaves batches on the host.

        Raises:
          UserError: when there is not one batch.
        """
        index, count = shard
        num_pairs = sys.maxsize if num_epochs is None else len(source) * num_epochs
        # Every shard gets the same number of batches, or the last step would wait for ever.
        num_pairs -= num_pairs % (batch_size * count)
        if num_pairs == 0:
            raise UserError(
                f"{num_epochs} epoch(s) of {len(source)} pairs do not fill a batch of {batch_size * count}; "
                "expected a smaller train.batch_size, or more of data.repeats or train.num_epochs"
            )
        records = grain.MapDataset.range(len(source)).seed(seed)
        if shuffle:
            records = records.shuffle()
        self._read_pair = functools.partial(_read_pair, source, records.repeat(num_epochs))
        self._num_pairs, self._batch_size, self._shard = num_pairs, batch_size, (index, count)
        self._worker_count, self._transfer = worker_count, transfer
        self._iterator: Iterator | None = None
        self._position = 0  # pairs of all shards that were handed out

    def __next__(self) -> Any:
        """Dict with `source` and `driving`, uint8 `[batch_size, S, S, 3]`, or what `transfer` makes of it.

        What does not fill a batch of every shard at the end is dropped.
        """
        if self._iterator is None:
            self._iterator = self._open()
        batch = next(self._iterator)
        self._position += self._batch_size * self._shard[1]
        return batch

    def get_state(self) -> dict[str, int]:
        """Where the next batch starts; for `set_state` of a reader with the same seed, source and global batch."""
        return {"next_pair": self._position}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Go to where another reader was.

        Raises:
          ValueError: no batch starts there.
        """
        if state["next_pair"] % (self._batch_size * self._shard[1]):
            raise ValueError(f"no batch of {self._batch_size} x {self._shard[1]} pairs starts at {state['next_pair']}")
        self.close()
        self._position = state["next_pair"]

    def close(self) -> None:
        """Stop reading ahead, and any worker processes; the next batch starts them again."""
        if self._iterator is not None:
            self._iterator.close()
        self._iterator = None

    def _open(self) -> grain.DatasetIterator:
        index, count = self._shard
        first = self._position + index * self._batch_size
        place = functools.partial(_position, first, self._batch_size, self._batch_size * count)
        dataset = grain.MapDataset.range((self._num_pairs - self._position) // count)
        dataset = dataset.map(place).map(self._read_pair)
        dataset = dataset.batch(self._batch_size, drop_remainder=True).to_iter_dataset(_READ_OPTIONS)
        if self._worker_count:
            # Grain's workers copy absl's flags, which a notebook or a test has not parsed.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=self._worker_count))
        if self._transfer is not None:
            dataset = grain.experimental.ThreadPrefetchIterDataset(
                dataset.map(self._transfer), prefetch_buffer_size=_BATCHES_ON_DEVICE
            )
        return iter(dataset)


def _position(first: int, batch_size: int, global_batch_size: int, index: int) -> int:
    """Place in the whole stream of a shard's pair `index`, the shard's first one being at `first`."""
    batch, row = divmod(index, batch_size)
    return first + batch * global_batch_size + row


def _read_pair(source: PairSource, records: grain.MapDataset, position: int) -> dict[str, np.ndarray]:
    epoch = position // len(source)
    return source[epoch * len(source) + records[position]]


def validation_pairs(
    videos: VideoSource,
    *,
    num_pairs: int,
    batch_size: int,
    seed: int,
    joints: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> list[dict[str, np.ndarray]]:
    """Fixed pairs to measure reconstruction on: the first frame of a video, and a later one.

    Videos take turns in an order fixed by the seed.

    Args:
      videos: held out from training.
      num_pairs: over all shards; rounded up to fill the batches.
      batch_size: pairs in a batch of this shard.
      seed: of the choice.
      joints: add those of the driving frames; the videos must be `AnnotatedVideos`.
      shard: (index, count): this process's and how many there are.

    Returns:
      Batches with `source` and `driving`, uint8 `[batch_size, S, S, 3]`, and as `PairSource` `driving_joints`.
    """
    index, count = shard
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(videos.names)).tolist()
    num_batches = -(-num_pairs // (batch_size * count))
    chosen = [order[i % len(order)] for i in range(num_batches * batch_size * count)]
    later = [int(rng.integers(1, videos.num_frames(video))) for video in chosen]
    pairs = list(zip(chosen, later, strict=True))
    batches = []
    for start in range(index * batch_size, len(pairs), batch_size * count):
        part = pairs[start : start + batch_size]
        batch = {
            "source": np.stack([videos.frame(video, 0) for video, _ in part]),
            "driving": np.stack([videos.frame(video, t) for video, t in part]),
        }
        if joints:
            batch["driving_joints"] = np.stack([videos.annotations(video)[0][t] for video, t in part])
        batches.append(batch)
    return batches
