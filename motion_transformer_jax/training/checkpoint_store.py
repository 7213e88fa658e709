"""The checkpoints of a running training: written while it goes on, read to resume it."""

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checkpoint_files import (
    BEST_METRIC,
    CHECKPOINTS_FOLDER,
    UnreadableCheckpoint,
    open_manager,
    reason_of,
    restore_step,
    saved_tree,
)
from motion_transformer_jax.training.checksums import tree_checksums
from motion_transformer_jax.training.processes import agreed, true_for_all
from motion_transformer_jax.training.tree_check import check_tree

logger = logging.getLogger(__name__)


# Until a folder that one host has made is seen by all others; NFS looks again after a minute at most.
_SIGHT_SECONDS = 90
# What keeps the system from writing, and only the user can mend.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


class CheckpointStore:
    """The checkpoints of one run: the last `keep_last` and the one with the lowest validation L1.

    Saving copies the state off the devices and returns; files are written in the background. Use it as a context, or
    call `close()`, so that the last one is complete.
    """

    def __init__(self, workdir: str | os.PathLike, *, keep_last: int):
        self._folder = Path(workdir).absolute() / CHECKPOINTS_FOLDER
        self._manager = open_manager(self._folder, keep_last=keep_last, writing=True)
        try:
            self._refuse_weights_alone(workdir)
        except UserError:
            self._manager.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        if kind is None:
            self.close()
        else:  # what goes wrong now would hide the reason
            with contextlib.suppress(UserError):
                self.close()

    def _refuse_weights_alone(self, workdir: str | os.PathLike) -> None:
        step = self.latest_step
        if step is None:
            return
        try:
            tree = saved_tree(self._manager, step, self._folder / str(step))
        except UnreadableCheckpoint:
            return  # converted weights are no training's
        if "step" not in tree:
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
          progress: JSON-able; what is needed beside the state to go on, the same for all processes.
          metrics: validation metrics of this very step, if it was validated; BEST_METRIC ranks the checkpoints.

        Raises:
          UserError: this step, or an earlier one in the background, could not be written; older ones are whole.
        """
        if step in self._manager.all_steps():
            return
        with self._writing():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(state),
                    progress=ocp.args.JsonSave({"progress": progress, "checksums": tree_checksums(state)}),
                ),
                metrics={BEST_METRIC: float((metrics or {}).get(BEST_METRIC, np.inf))},
                force=True,
            )

    def restore_latest(self, state: Any) -> tuple[int, Any, dict] | None:
        """The newest step that can be read as (step, state, progress); None when there is none at all.

        Newer ones that cannot be read, or whose arrays have changed since they were saved, are told of and renamed to
        STEP.corrupt.

        Args:
          state: the TrainState, or its shapes and shardings, that the config makes; the result is placed like it.

        Raises:
          UserError: no checkpoint can be read, or they are from another config.
        """
        self._manager.wait_until_finished()
        refused: dict[int, UserError] = {}
        while (step := self._newest_but(refused)) is not None:
            restored, error = None, None
            try:
                restored = self._restore(step, state)
            except UserError as found:
                error = found
            if true_for_all(error is None):
                self._set_aside(refused)
                return step, *restored
            refused[step] = error or UserError(f"checkpoint {self._folder / str(step)} cannot be read by all processes")
        if refused:
            raise refused[max(refused)]
        return None

    def _newest_but(self, refused: Collection[int]) -> int | None:
        """The newest step that is not among these: for all processes, whatever each sees of a network's disk."""
        newest = agreed(max((step for step in self._manager.all_steps() if step not in refused), default=-1))
        return None if newest < 0 else newest

    def _restore(self, step: int, state: Any) -> tuple[Any, dict]:
        folder = self._folder / str(step)
        _wait_for(folder)
        check_tree(folder, saved_tree(self._manager, step, folder), state)
        restored = restore_step(
            self._manager,
            step,
            folder,
            state=ocp.args.PyTreeRestore(state, restore_args=ocp.checkpoint_utils.construct_restore_args(state)),
        )
        if "progress" not in restored.progress:
            raise UserError(
                f"{folder} was saved by an earlier version, which cannot be gone on with; start from its weights in "
                f"another folder by --config.train.init_from={self._folder.parent}"
            )
        return restored.state, restored.progress["progress"]

    def _set_aside(self, refused: Mapping[int, UserError]) -> None:
        """An older step fits and can be read: these are damaged."""
        for step, error in refused.items():
            folder = self._folder / str(step)
            logger.warning("%s; it is %s.corrupt from now on, and an older one is used", error, folder.name)
            if jax.process_index() == 0:
                aside = folder.with_name(f"{folder.name}.corrupt")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
        if refused:
            multihost_utils.sync_global_devices("damaged checkpoints are set aside")
            self._manager.reload()

    def close(self) -> None:
        """Wait until everything is written.

        Raises:
          UserError: as `save`.
        """
        try:
            with self._writing():
                self._manager.wait_until_finished()
        finally:
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises what it likes
            if not any(os.strerror(number) in str(error) for number in _REFUSALS):
                raise  # another process is gone, or the network: starting again may do
            raise UserError(
                f"cannot save a checkpoint in {self._folder} ({reason_of(error)}); make room or mend permissions, and "
                "start the same command again: older checkpoints are whole"
            ) from error


def _wait_for(folder: Path) -> None:
    deadline = time.monotonic() + _SIGHT_SECONDS
    while not folder.is_dir():
        if time.monotonic() > deadline:
            raise UserError(
                f"process 0 sees {folder}, process {jax.process_index()} does not; expected one folder that all share"
            )
        time.sleep(1)
        list(folder.parent.iterdir())  # has the network's disk asked
