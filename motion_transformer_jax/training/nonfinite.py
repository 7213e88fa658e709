"""Steps that were skipped for NaN or infinite values: counted, and, where they do not end, told of.

WORKDIR/nonfinite/ is what such an end leaves: a run's folder with the state before the step, and batch.npz, so that
`motrans train --replay WORKDIR/nonfinite` takes the step again.
"""

import math
import os
import shutil
import zipfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.finite import SKIPPED
from motion_transformer_jax.training.frames import Batch
from motion_transformer_jax.training.progress import STEPS_IN_FLIGHT
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.state import TrainState

NONFINITE_FOLDER = "nonfinite"
BATCH_FILE = "batch.npz"


@dataclass(frozen=True)
class BadStep:
    """The last of too many skipped steps in a row.

    Attributes:
      step: its number, from 1.
      batch: the global batch on the devices.
      values: its metrics.
    """

    step: int
    batch: Batch
    values: dict[str, float]

    def diagnosis(self) -> str:
        """Which losses are not finite, and which parts' gradients."""
        bad = {name: value for name, value in self.values.items() if not math.isfinite(value)}
        losses = [f"{name} {value}" for name, value in bad.items() if "/" not in name and name != "total"]
        parts = [name.split("/")[1] for name in bad if name.startswith("gradient_norm/")]
        told = [f"loss {', '.join(losses)}"] if losses else []
        told += [f"gradients of {', '.join(parts)}"] if parts else []
        return "; ".join(told) or f"total loss {self.values['total']}"


class NonFiniteGuard:
    """Counts skipped steps, each when it is done anyway: no step waits for its count."""

    def __init__(self, limit: int):
        """Tolerate less than `limit` skipped steps in a row."""
        self._limit, self._in_a_row = limit, 0
        self._waiting: deque[tuple[int, Batch, Mapping[str, jax.Array]]] = deque()

    def add(self, step: int, batch: Batch, metrics: Mapping[str, jax.Array]) -> BadStep | None:
        """Add a step that was started; returns an earlier one if with it there were too many."""
        self._waiting.append((step, batch, metrics))
        if len(self._waiting) <= STEPS_IN_FLIGHT:
            return None
        return self._count(*self._waiting.popleft())

    def finish(self) -> BadStep | None:
        """Count the steps that are left."""
        counted = [self._count(*waiting) for waiting in self._waiting]
        self._waiting.clear()
        return next((bad for bad in counted if bad is not None), None)

    def _count(self, step: int, batch: Batch, metrics: Mapping[str, jax.Array]) -> BadStep | None:
        self._in_a_row = self._in_a_row + 1 if jax.device_get(metrics[SKIPPED]) else 0
        if self._in_a_row < self._limit:
            return None
        values = {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}
        return BadStep(step, batch, values)


def dump_step(workdir: str | os.PathLike, config: ConfigDict, state: TrainState, bad: BadStep) -> Path:
    """Writes what `replay` needs to WORKDIR/nonfinite, all processes together; an older dump is replaced.

    Args:
      state: after the bad step, or after the two that were started before it was seen to be bad; where those were not
        finite either, it is the very state that the bad step began with.

    Returns:
      The folder.
    """
    folder = Path(workdir) / NONFINITE_FOLDER
    batch = {name: multihost_utils.process_allgather(array, tiled=True) for name, array in bad.batch.items()}
    before = state.replace(step=jnp.full_like(state.step, bad.step - 1))
    if jax.process_index() == 0:
        shutil.rmtree(folder, ignore_errors=True)
    multihost_utils.sync_global_devices("an older dump is removed")
    with CheckpointStore(folder, keep_last=1) as store:
        store.save(bad.step - 1, before, {"metrics": {name: str(value) for name, value in bad.values.items()}})
    if jax.process_index() == 0:
        save_config(folder, config)
        with atomic_path(folder / BATCH_FILE) as temporary:
            np.savez(temporary, **batch)
    return folder


def load_batch(folder: str | os.PathLike) -> dict[str, Any]:
    """The global batch of a dump: {"source", "driving"}, uint8 [B, H, W, 3].

    Raises:
      UserError: there is none.
    """
    path = Path(folder) / BATCH_FILE
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}); expected the folder WORKDIR/{NONFINITE_FOLDER}") from error
