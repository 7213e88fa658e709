"""Checkpoints of a training run: written while training goes on, read to resume or to animate.

    WORKDIR/config.json                     the run's config (`saved_config.py`)
    WORKDIR/checkpoints/STEP/state/         the TrainState: weights, statistics, optimizer
    WORKDIR/checkpoints/STEP/progress/      position in the data, metrics not yet logged

Orbax writes a step into a temporary folder and renames it at the end: a step that can be seen is complete.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.saved_config import load_config
from motion_transformer_jax.training.state import DISCRIMINATOR, without_discriminator
from motion_transformer_jax.training.tree_check import check_tree

CHECKPOINTS_FOLDER = "checkpoints"
BEST_METRIC = "validation/l1"


class CheckpointStore:
    """The checkpoints of one run: the last `keep_last` and the one with the lowest validation L1.

    Saving copies the state off the devices and returns; files are written in the background. Use it as a context, or
    call `close()`, so that the last one is complete.
    """

    def __init__(self, workdir: str | os.PathLike, *, keep_last: int):
        self._folder = Path(workdir).absolute() / CHECKPOINTS_FOLDER
        self._manager = _open(self._folder, keep_last=keep_last, writing=True)
        try:
            self._refuse_weights_alone(workdir)
        except UserError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _refuse_weights_alone(self, workdir: str | os.PathLike) -> None:
        step = self.latest_step
        if step is not None and "step" not in _saved_tree(self._manager, step, self._folder / str(step)):
            raise UserError(
                f"{workdir} holds converted weights only, no training to go on with; start from them in another folder "
                f"by --config.train.init_from={workdir}"
            )

    @property
    def latest_step(self) -> int | None:
        """The newest complete step, None before the first one."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, progress: dict, metrics: Mapping[str, float] | None = None) -> None:
        """Save a step that is not there yet; saving a step again does nothing.

        Args:
          step: number of finished training steps.
          state: pytree of arrays, the TrainState.
          progress: JSON-able; what this process needs beside the state to go on.
          metrics: validation metrics of this very step, if it was validated; BEST_METRIC ranks the checkpoints.
        """
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(state),
                progress=ocp.args.JsonSave({"processes": _gather(progress)}),
            ),
            metrics={BEST_METRIC: float((metrics or {}).get(BEST_METRIC, np.inf))},
            force=True,
        )

    def restore_latest(self, state: Any) -> tuple[int, Any, dict] | None:
        """The newest step as (step, state, progress of this process); None when there is none.

        Args:
          state: the TrainState, or its shapes and shardings, that the config makes; the result is placed like it.

        Raises:
          UserError: the checkpoint is from another config or another number of processes, or cannot be read.
        """
        self._manager.wait_until_finished()
        step = self._manager.latest_step()
        if step is None:
            return None
        folder = self._folder / str(step)
        check_tree(folder, _saved_tree(self._manager, step, folder), state)
        restored = _restore(
            self._manager,
            step,
            folder,
            state=ocp.args.PyTreeRestore(state, restore_args=ocp.checkpoint_utils.construct_restore_args(state)),
            progress=ocp.args.JsonRestore(),
        )
        processes = restored.progress["processes"]
        if len(processes) != jax.process_count():
            raise UserError(
                f"{folder} was written by {len(processes)} processes but {jax.process_count()} are running; "
                "resume with as many, or train into another --workdir"
            )
        return step, restored.state, processes[jax.process_index()]

    def close(self) -> None:
        """Wait until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Whether the run in `folder` has a complete checkpoint to go on from; not, where it cannot be looked into."""
    try:
        return _has_complete_step(Path(folder) / CHECKPOINTS_FOLDER)
    except OSError:
        return False


def load_variables(
    folder: str | os.PathLike, *, step: int | str | None = None, discriminator: bool = False
) -> tuple[ConfigDict, dict]:
    """A run's config and trained variables, for inference.

    Args:
      folder: the run's folder (train's --workdir).
      step: a step's number; "best", the one with the lowest validation L1; None, the newest.
      discriminator: load that part too, where the run has it.

    Returns:
      (config, {"params": ..., "batch_stats": ...}), arrays on the default device. They are the moving averages
      where the config keeps them.

    Raises:
      UserError: the folder is missing, empty, half-written, from another config, or lacks the step.
    """
    config = load_config(folder)
    validate_config(config, need_data=False)
    checkpoints = Path(folder).absolute() / CHECKPOINTS_FOLDER
    _require_complete_step(checkpoints)
    manager = _open(checkpoints, writing=False)
    try:
        step = _choose_step(manager, checkpoints, step)
        saved = _saved_tree(manager, step, checkpoints / str(step))
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        wanted = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding),
            _wanted(saved, averaged=config.optimizer.ema_decay > 0, discriminator=discriminator),
        )
        restored = _restore(
            manager,
            step,
            checkpoints / str(step),
            state=ocp.args.PyTreeRestore(
                wanted, restore_args=ocp.checkpoint_utils.construct_restore_args(wanted), partial_restore=True
            ),
        ).state
    finally:
        manager.close()
    variables = {
        name: {**restored.get(name, {}), **restored.get(f"ema_{name}", {})} for name in ("params", "batch_stats")
    }
    check_tree(checkpoints / str(step), without_discriminator(variables), variable_shapes(config))
    return config, variables


def chosen_step(folder: str | os.PathLike, step: int | str | None = None) -> int:
    """The number of the step that `load_variables` takes, for the same arguments and with the same errors."""
    checkpoints = Path(folder).absolute() / CHECKPOINTS_FOLDER
    _require_complete_step(checkpoints)
    manager = _open(checkpoints, writing=False)
    try:
        return _choose_step(manager, checkpoints, step)
    finally:
        manager.close()


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


def _open(folder: Path, *, keep_last: int = 1, writing: bool) -> ocp.CheckpointManager:
    best = checkpoint_managers.BestN(get_metric_fn=lambda metrics: -metrics[BEST_METRIC], n=1)
    policy = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(keep_last), best])
    options = ocp.CheckpointManagerOptions(
        best_fn=lambda metrics: metrics[BEST_METRIC],
        best_mode="min",
        preservation_policy=policy,
        create=writing,
        cleanup_tmp_directories=writing,
    )
    handlers = {"state": ocp.PyTreeCheckpointHandler(), "progress": ocp.JsonCheckpointHandler()}
    return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


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


def _saved_tree(manager, step: int, folder: Path) -> dict:
    """Names, shapes and dtypes of what a step holds."""
    try:
        return manager.item_metadata(step).state.tree
    except (AttributeError, OSError, KeyError, ValueError) as error:
        raise UserError(_unreadable(folder, error)) from error


def _restore(manager, step: int, folder: Path, **items):
    try:
        return manager.restore(step, args=ocp.args.Composite(**items))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(_unreadable(folder, error)) from error


def _unreadable(folder: Path, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"checkpoint {folder} cannot be read ({reason[:200]}); remove that folder to use an older one"


def _gather(progress: dict) -> list[dict]:
    """The progress of every process, in order, on every process."""
    if jax.process_count() == 1:
        return [progress]
    text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    length = int(np.max(multihost_utils.process_allgather(np.int32(text.size))))
    rows = multihost_utils.process_allgather(np.pad(text, (0, length - text.size), constant_values=ord(" ")))
    return [json.loads(row.tobytes()) for row in rows]
