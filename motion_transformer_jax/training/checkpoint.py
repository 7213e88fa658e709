"""Checkpoints of a run, read for inference.

WORKDIR/config.json                     the run's config (`saved_config.py`)
WORKDIR/checkpoints/STEP/               a step's files (`checkpoint_files.py`), by `checkpoint_store.py`
WORKDIR/weights.npz                     instead of those: a model's weights alone (`compact_weights.py`)
"""

import os
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from motion_transformer_jax.bundled import run_folder
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.training.checkpoint_files import CHECKPOINTS_FOLDER, open_manager, restore_step, saved_tree
from motion_transformer_jax.training.compact_weights import is_compact, load_compact
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.saved_config import load_config
from motion_transformer_jax.training.state import DISCRIMINATOR, without_discriminator
from motion_transformer_jax.training.tree_check import check_tree


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Whether the run in `folder` has a complete checkpoint to go on from; not, where it cannot be looked into."""
    try:
        return _has_complete_step(Path(folder) / CHECKPOINTS_FOLDER)
    except OSError:
        return False


def load_variables(
    run: str | os.PathLike, *, step: int | str | None = None, discriminator: bool = False
) -> tuple[ConfigDict, dict]:
    """A run's config and trained variables, for inference.

    Args:
      run: the run's folder (train's --workdir), one of compact weights, or the name of a model that comes with the
        package.
      step: a step's number; "best", the one with the lowest validation L1; None, the newest.
      discriminator: load that part too, where the run has it.

    Returns:
      (config, {"params": ..., "batch_stats": ...}), arrays on the default device. They are the moving averages
      where the config keeps them.

    Raises:
      UserError: the folder is missing, empty, half-written, from another config, or lacks the step.
    """
    folder = run_folder(run)
    config = load_config(folder)
    validate_config(config, need_data=False)
    if is_compact(folder):
        _require_only_step(folder, step)
        variables = jax.device_put(load_compact(folder), jax.local_devices()[0])
    else:
        variables = _load_step(folder.absolute() / CHECKPOINTS_FOLDER, step, config, discriminator)
    check_tree(folder, without_discriminator(variables), variable_shapes(config))
    return config, variables


def _load_step(checkpoints: Path, step: int | str | None, config: ConfigDict, discriminator: bool) -> dict:
    _require_complete_step(checkpoints)
    manager = open_manager(checkpoints, writing=False)
    try:
        step = _choose_step(manager, checkpoints, step)
        saved = saved_tree(manager, step, checkpoints / str(step))
        wanted = _wanted(saved, averaged=config.optimizer.ema_decay > 0, discriminator=discriminator)
        # Before memory is taken for what the checkpoint claims to hold.
        check_tree(checkpoints / str(step), without_discriminator(_variables(wanted)), variable_shapes(config))
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        wanted = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding), wanted)
        restored = restore_step(
            manager,
            step,
            checkpoints / str(step),
            state=ocp.args.PyTreeRestore(
                wanted, restore_args=ocp.checkpoint_utils.construct_restore_args(wanted), partial_restore=True
            ),
        ).state
    finally:
        manager.close()
    return _variables(restored)


def _variables(state: dict) -> dict:
    """{"params", "batch_stats"} of a state, as averages where it has them."""
    return {name: {**state.get(name, {}), **state.get(f"ema_{name}", {})} for name in ("params", "batch_stats")}


def chosen_step(run: str | os.PathLike, step: int | str | None = None) -> int:
    """The number of the step that `load_variables` takes, for the same arguments and with the same errors.

    Compact weights have one, 0.
    """
    folder = run_folder(run)
    if is_compact(folder):
        _require_only_step(folder, step)
        return 0
    checkpoints = folder.absolute() / CHECKPOINTS_FOLDER
    _require_complete_step(checkpoints)
    manager = open_manager(checkpoints, writing=False)
    try:
        return _choose_step(manager, checkpoints, step)
    finally:
        manager.close()


def _require_only_step(folder: Path, step: int | str | None) -> None:
    if step not in (None, 0, "best"):
        raise UserError(f"no step {step} in {folder}; it holds compact weights, of one step alone")


def _wanted(saved: dict, *, averaged: bool, discriminator: bool) -> dict:
    """What of a saved state is needed: the model's parameters and statistics, or their averages."""
    present = {name: saved.get(name) or {} for name in ("params", "batch_stats")}
    wanted = without_discriminator(present)
    if averaged:
        wanted = {f"ema_{name}": saved.get(f"ema_{name}") or {} for name in wanted}
    if discriminator:  # it has no average
        for name, parts in present.items():
            if DISCRIMINATOR in parts:
                wanted[name] = {**wanted.get(name, {}), DISCRIMINATOR: parts[DISCRIMINATOR]}
    return wanted


def variable_shapes(config: ConfigDict) -> dict:
    """Shapes of the model's variables {"params": ..., "batch_stats": ...}; nothing is computed."""
    model, size = create_animation_model(config), config.model.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image, image)


def _has_complete_step(folder: Path) -> bool:
    return folder.is_dir() and any(path.name.isdecimal() for path in folder.iterdir())


def _require_complete_step(folder: Path) -> None:
    if _has_complete_step(folder):
        return
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if any("orbax-checkpoint-tmp" in name for name in names):
        raise UserError(f"{folder} holds only half-written checkpoints ({names[0]}); resume the training to make one")
    raise UserError(f"no checkpoint in {folder}; train until the first one is saved (train.checkpoint_every_steps)")


def _choose_step(manager, folder: Path, step: int | str | None) -> int:
    steps = sorted(manager.all_steps())
    if not steps:
        raise UserError(f"no complete checkpoint in {folder}; resume the training to make one")
    if step is None:
        return steps[-1]
    if step == "best":
        return manager.best_step()
    if step not in steps:
        raise UserError(f"no step {step} in {folder}; it has {', '.join(map(str, steps))}")
    return step
