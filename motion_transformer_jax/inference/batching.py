"""Streams of frames through a compiled function, in batches of one size; the host reads while the devices work."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import jax
import numpy as np

from motion_transformer_jax.ops.backend import on_cpu

_Item = TypeVar("_Item")


def default_batch_size(num_devices: int) -> int:
    """Frames in a batch where nobody says: 4 on CPU, whose devices are simulated, and 16 for each accelerator."""
    return 4 if on_cpu() else 16 * num_devices


def split_batches(items: Iterable[_Item], batch_size: int) -> Iterator[list[_Item]]:
    """Groups a stream into lists of `batch_size` items; the last may be shorter."""
    stream = iter(items)
    while batch := list(islice(stream, batch_size)):
        yield batch


def pad_batch(batch: list[np.ndarray], batch_size: int) -> np.ndarray:
    """One array of `batch_size` frames; the last stands in for those missing, so that nothing is compiled anew."""
    return np.stack(batch + [batch[-1]] * (batch_size - len(batch)))


def in_order(started: Iterable[tuple[list[_Item], Any]], *, ahead: int = 1) -> Iterator[tuple[_Item, Any]]:
    """Takes batches under way apart, each after the next ones were started.

    Args:
        started: (items, results on the device with the batch as first axis); results of padding are dropped.
        ahead: How many batches are started before the results of one are waited for; 0 gives each at once.

    Yields:
        (item, its results [1, ...] on the host).
    """
    waiting = deque()
    for batch in started:
        waiting.append(batch)
        if len(waiting) > ahead:
            yield from _apart(*waiting.popleft())
    for batch in waiting:
        yield from _apart(*batch)


def _apart(items: list[_Item], results: Any) -> Iterator[tuple[_Item, Any]]:
    results = jax.device_get(results)
    for index, item in enumerate(items):
        yield item, jax.tree.map(lambda x, i=index: x[i : i + 1], results)
