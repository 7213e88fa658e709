"""What a run tells while it goes on: metrics, validation and pictures, each when it is due."""

import os

import jax
from ml_collections import ConfigDict

from motion_transformer_jax.training.metrics import MetricWindow, MetricWriter
from motion_transformer_jax.training.progress import Progress, say
from motion_transformer_jax.training.samples import Validation, save_picture
from motion_transformer_jax.training.state import TrainState


class Observation:
    """Looks at a run after each step."""

    def __init__(
        self,
        config: ConfigDict,
        workdir: str | os.PathLike,
        total_steps: int,
        *,
        writer: MetricWriter,
        progress: Progress,
        validation: Validation,
    ):
        self._train, self._workdir, self._total = config.train, workdir, total_steps
        self._writer, self._progress, self._validation = writer, progress, validation

    def is_due(self, step: int, every: int) -> bool:
        """Whether something that comes with every so many steps, and with the last one, comes now."""
        return step % every == 0 or step == self._total

    def look(self, step: int, state: TrainState, window: MetricWindow) -> dict[str, float]:
        """Write what is due after a step; returns the validation metrics, none where they were not due."""
        if self.is_due(step, self._train.log_every_steps):
            means = window.flush()
            speed = self._progress.show(means)
            self._writer.write(step, means | ({"train/pairs_per_second": speed} if speed else {}))
        measured = self._measure(step, state) if self.is_due(step, self._train.validate_every_steps) else {}
        if self.is_due(step, self._train.picture_every_steps) and jax.process_index() == 0:
            self._draw(step, state)
        return measured

    def _measure(self, step: int, state: TrainState) -> dict[str, float]:
        with self._progress.pause():
            measured = self._validation.measure(state)
        self._writer.write(step, measured)
        say("step %d: %s", step, ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
        return measured

    def _draw(self, step: int, state: TrainState) -> None:
        with self._progress.pause():
            picture = self._validation.draw(state)
            save_picture(self._workdir, step, picture)
            self._writer.write_picture(step, "samples", picture)
