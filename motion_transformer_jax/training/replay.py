"""Taking a step again that was not finite: what `motrans train --replay` does."""

import os

import jax
import numpy as np

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checkpoint import has_checkpoint
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.loop import create_step
from motion_transformer_jax.training.nonfinite import load_batch
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import abstract, create_mesh, shard_batch
from motion_transformer_jax.training.saved_config import load_config
from motion_transformer_jax.training.state import create_train_state


def replay(folder: str | os.PathLike) -> dict[str, float]:
    """Take the step again that `dump_step` wrote, on one device.

    Returns:
      Its metrics, as the training step gives them.

    Raises:
      UserError: the folder holds no dump, or a damaged one.
    """
    batch, config = load_batch(folder), load_config(folder)
    validate_config(config, need_data=False)
    size = config.model.image_size
    for name in ("source", "driving"):
        frames = batch.get(name)
        if frames is None or frames.dtype != np.uint8 or frames.shape[1:] != (size, size, 3):
            raise UserError(f"{folder} holds no frames '{name}' of {size}x{size}; expected what a diverged run left")
    if not has_checkpoint(folder):
        raise UserError(f"{folder} holds no checkpoint; expected what a diverged run left")
    mesh = create_mesh(jax.local_devices()[:1])
    optimizer = create_configured_optimizer(config, milestone_steps=())
    with CheckpointStore(folder, keep_last=1) as store:
        _, state, _ = store.restore_latest(abstract(lambda: create_train_state(config, optimizer), mesh))
    _, metrics = create_step(config, optimizer, mesh)(state, shard_batch(batch, mesh))
    return {name: float(value) for name, value in jax.device_get(metrics).items()}
