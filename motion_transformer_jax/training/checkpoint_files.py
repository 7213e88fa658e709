"""A step's files, by Orbax: opening, looking into and reading them.

    CHECKPOINTS/STEP/state/         the TrainState: weights, statistics, optimizer
    CHECKPOINTS/STEP/progress/      position in the data, metrics not yet logged, checksums of the state

Orbax writes a step into a temporary folder and renames it at the end: a step that can be seen is complete. Nothing of a
step depends on the number of devices or processes that saved it.
"""

import json
import shutil
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checksums import damaged_arrays

CHECKPOINTS_FOLDER = "checkpoints"
BEST_METRIC = "validation/l1"


class UnreadableCheckpoint(UserError):
    """A checkpoint's files are damaged."""


def open_manager(folder: Path, *, keep_last: int = 1, writing: bool) -> ocp.CheckpointManager:
    """The manager of a run's folder of checkpoints; for writing, the folder is made and half-written steps go.

    Raises:
      UserError: the folder cannot be made or listed.
      UnreadableCheckpoint: a step's metrics are damaged; for writing, they are removed instead, and the step has none.
    """
    if writing and jax.process_index() == 0:
        _drop_damaged_metrics(folder)
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
    try:
        return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
    except jax.errors.JaxRuntimeError:  # of another process that is gone, not of the files
        raise
    except OSError as error:
        raise UserError(f"cannot use {folder} ({reason_of(error)}); check its permissions and space") from error
    except Exception as error:  # Orbax raises what it likes
        raise UnreadableCheckpoint(
            f"the checkpoints in {folder} cannot be listed ({reason_of(error)}); restore the folder"
        ) from error


def _drop_damaged_metrics(folder: Path) -> None:
    """Orbax reads those of all steps when it is opened, and a damaged one would keep it from that."""
    for path in folder.glob("[0-9]*/metrics/metrics"):
        try:
            float(json.loads(path.read_text())[BEST_METRIC])
        except (ValueError, KeyError, TypeError):
            shutil.rmtree(path.parent)


def saved_tree(manager, step: int, folder: Path) -> dict:
    """Names, shapes and dtypes of what a step holds.

    Raises:
      UnreadableCheckpoint: its files are damaged.
    """
    try:
        return manager.item_metadata(step).state.tree
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:  # Orbax raises what it likes
        raise UnreadableCheckpoint(_unreadable(folder, reason_of(error))) from error


def restore_step(manager, step: int, folder: Path, *, state):
    """The items `state` and `progress` of a step; the state's bytes are those that were saved.

    Args:
      state: Orbax's arguments for it.

    Raises:
      UnreadableCheckpoint: its files are damaged.
    """
    try:
        restored = manager.restore(step, args=ocp.args.Composite(state=state, progress=ocp.args.JsonRestore()))
        checksums = restored.progress.get("checksums")  # earlier versions saved none
        damaged = [] if checksums is None else damaged_arrays(restored.state, checksums)
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        raise UnreadableCheckpoint(_unreadable(folder, reason_of(error))) from error
    if damaged:
        raise UnreadableCheckpoint(_unreadable(folder, f"{damaged[0]} has changed since it was saved"))
    return restored


def _unreadable(folder: Path, reason: str) -> str:
    return f"checkpoint {folder} cannot be read ({reason}); restore that folder, or remove it to use an older one"


def reason_of(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
