"""Metrics: averaged on the devices over the steps between two logs, then written to files.

WORKDIR/metrics.jsonl       always: {"step": 100, "train/loss/perceptual": 41.2, ...} in each line
WORKDIR/tensorboard/        when TensorFlow is installed (extra `tensorboard`)
"""

import contextlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from clu.metrics import Average

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.training.finite import SKIPPED

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class MetricWindow:
    """Running averages of a step's metrics since the last log; nothing reaches the host before it is asked for."""

    def __init__(self, saved: dict | None = None, *, sharding: jax.sharding.Sharding | None = None):
        """Start empty, or from what `save()` returned, placed where the metrics to come are."""
        averages = {
            name: Average(total=np.float32(total), count=np.int32(count))
            for name, (total, count) in (saved or {}).items()
        }
        self._averages = jax.device_put(averages, sharding)

    def add(self, metrics: Mapping[str, jax.Array]) -> None:
        """Add the scalars of a finished step, `SKIPPED` among them."""
        self._averages = _merge(self._averages, dict(metrics)) if self._averages else _start(dict(metrics))

    def save(self) -> dict:
        """The window as JSON-able values that restore it exactly."""
        averages = jax.device_get(self._averages)
        return {name: [float(average.total), int(average.count)] for name, average in averages.items()}

    def flush(self) -> dict[str, float]:
        """The means as `train/loss/...` and `train/...`; the window is empty afterwards.

        Skipped steps count in `train/update/skipped` alone, which is their share.
        """
        averages = {name: average for name, average in jax.device_get(self._averages).items() if average.count}
        self._averages = {}
        return {_metric_name(name): float(average.total) / int(average.count) for name, average in averages.items()}


@jax.jit
def _start(metrics):
    counted = metrics[SKIPPED] == 0
    return {
        name: Average(total=value, count=jnp.int32(1))
        if name == SKIPPED
        else Average(total=jnp.where(counted, value, 0), count=counted.astype(jnp.int32))
        for name, value in metrics.items()
    }


@jax.jit
def _merge(averages, metrics):
    return {name: averages[name].merge(average) for name, average in _start(metrics).items()}


def _metric_name(name: str) -> str:
    """A step's metric as it is written: losses have plain names, other groups a prefix."""
    return f"train/{name}" if "/" in name else f"train/loss/{name}"


class MetricWriter:
    """Writes metrics of a run; of many processes, the first one's writer alone does something."""

    def __init__(self, workdir: str | os.PathLike, *, step: int):
        """Go on after `step`: what an interrupted run wrote beyond it is dropped, since it is about to come again."""
        self._file = self._tensorboard = None
        if jax.process_index():
            return
        path = Path(workdir) / METRICS_FILE
        _drop_lines_after(path, step)
        self._path = path
        with system_errors(path):
            self._file = path.open("a")
        if importlib.util.find_spec("tensorflow") is not None:
            import tensorflow as tf
            from clu import metric_writers  # imports TensorFlow

            tf.config.set_visible_devices([], "GPU")  # or it takes the memory that JAX needs
            self._tensorboard = metric_writers.SummaryWriter(str(Path(workdir) / TENSORBOARD_FOLDER))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write scalars after a finished step."""
        if self._file is not None:
            with system_errors(self._path):
                self._file.write(json.dumps({"step": step, **metrics}) + "\n")
                self._file.flush()
        if self._tensorboard is not None:
            self._tensorboard.write_scalars(step, metrics)
            self._tensorboard.flush()

    def write_picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a picture, uint8 [H, W, 3], to TensorBoard if it is installed."""
        if self._tensorboard is not None:
            self._tensorboard.write_images(step, {name: picture[None]})

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a line that could not be written, which has been told
                self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()


def _drop_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError, TypeError):
            continue  # the run was killed while it wrote this line
    with atomic_path(path) as temporary:
        temporary.write_text("".join(kept))
