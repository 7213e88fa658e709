"""Folders of weights without a training: what a run's folder has for inference, and nothing to go on with."""

import os
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_folder, system_errors
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.saved_config import save_config

STEP = 0  # no training has taken place


def save_variables(folder: str | os.PathLike, config: ConfigDict, variables: dict) -> None:
    """Writes a folder that `checkpoint.load_variables` reads; one that is there is replaced at the end.

    Args:
      folder: the folder to make.
      config: the config of the model; it must not average weights (optimizer.ema_decay=0).
      variables: {"params": ..., "batch_stats": ...}, arrays.

    Raises:
      UserError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        save_config(temporary, config)
        with system_errors(Path(folder)), CheckpointStore(temporary, keep_last=1) as store:
            store.save(STEP, variables, {})
