"""Looking at a model while it trains: validation errors and pictures, on pairs that stay the same."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.data.video_writer import write_image
from motion_transformer_jax.training.disentanglement import (
    create_disentangled_animation,
    create_disentanglement_eval_step,
)
from motion_transformer_jax.training.landmark_pretraining import create_landmark_eval_step
from motion_transformer_jax.training.parallel import shard_batch
from motion_transformer_jax.training.state import TrainState
from motion_transformer_jax.training.step import create_eval_step, create_reconstruct
from motion_transformer_jax.viz.generation import draw_generations

SAMPLES_FOLDER = "samples"
NUM_SAMPLES = 4


class Validation:
    """Reconstruction of fixed validation pairs, or what the objective is: landmarks, or poses that are mended."""

    def __init__(self, config: ConfigDict, mesh: jax.sharding.Mesh, batches: Sequence[Mapping[str, np.ndarray]]):
        """Prepare; nothing is compiled before it is used.

        Args:
          config: the experiment's config.
          mesh: devices that share a batch.
          batches: this process's part of the validation pairs, {"source", "driving"} uint8 [B, H, W, 3] each, and
            "driving_joints" where the landmark guidance is on.
        """
        self._mesh, self._batches = mesh, batches
        objective = config.train.objective
        create_eval = {
            "reconstruction": create_eval_step,
            "disentanglement": create_disentanglement_eval_step,
            "landmarks": create_landmark_eval_step,
        }
        self._eval_step = create_eval[objective](config)
        self._disentangles = objective == "disentanglement"
        self._generate = (create_disentangled_animation if self._disentangles else create_reconstruct)(config)

    def measure(self, state: TrainState) -> dict[str, float]:
        """Mean absolute errors: `validation/l1`, and what the evaluation of the objective gives beside it."""
        variables = state.inference_variables()
        results = [self._eval_step(variables, shard_batch(batch, self._mesh)) for batch in self._batches]
        results = jax.device_get(results)
        return {f"validation/{name}": float(np.mean([r[name] for r in results])) for name in results[0]}

    def draw(self, state: TrainState) -> np.ndarray:
        """A contact sheet of the first pairs, uint8 [H, W, 3]; needs no other process.

        To show a disentangler, each source is driven by the frame of another pair.
        """
        # Every device has all variables: one device's copy is enough, and moves nothing.
        variables = jax.tree.map(lambda array: array.addressable_data(0), state.inference_variables())
        source, driving = (self._batches[0][name][:NUM_SAMPLES] for name in ("source", "driving"))
        if self._disentangles:
            driving = np.roll(driving, 1, axis=0)
        return draw_generations(source, driving, self._generate(variables, source, driving))


def save_picture(workdir: str | os.PathLike, step: int, picture: np.ndarray) -> None:
    """Write `WORKDIR/samples/STEP.png`, whole or not at all."""
    folder = Path(workdir) / SAMPLES_FOLDER
    folder.mkdir(exist_ok=True)
    write_image(folder / f"{step:07d}.png", picture)
