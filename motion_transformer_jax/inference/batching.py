"""Streams of frames through a compiled function, in batches of one size; the host reads while the devices work."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import jax
import numpy as np


def default_batch_size() -> int:
    """Frames in a batch where nobody says: 4 on CPU, 16 on an accelerator."""
    return 4 if jax.default_backend() == "cpu" else 16


def split_batches(frames: Iterable[np.ndarray], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Groups a stream into lists of `batch_size` frames; the last may be shorter."""
    stream = iter(frames)
    while batch := list(islice(stream, batch_size)):
        yield batch


def pad_batch(batch: list[np.ndarray], batch_size: int) -> np.ndarray:
    """One array of `batch_size` frames; the last stands in for those missing, so that nothing is compiled anew."""
    return np.stack(batch + [batch[-1]] * (batch_size - len(batch)))


def one_batch_ahead(started: Iterable[tuple[list[np.ndarray], Any]]) -> Iterator[tuple[np.ndarray, Any]]:
    """Takes batches under way apart, each after the next one was started.

    Args:
        started: (frames, results on the device with the batch as first axis); results of padding are dropped.

    Yields:
        (frame, its results [1, ...] on the host).
    """
    waiting = None
    for batch in chain(started, [None]):
        if waiting is not None:
            frames, results = waiting[0], jax.device_get(waiting[1])
            for index, frame in enumerate(frames):
                yield frame, jax.tree.map(lambda x, i=index: x[i : i + 1], results)
        waiting = batch
