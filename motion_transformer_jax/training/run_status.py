"""WORKDIR/status.json: whether a run is done, for scripts that start it again."""

import json
import os
from pathlib import Path
from typing import Literal

import jax

from motion_transformer_jax.atomic import atomic_path

STATUS_FILE = "status.json"


def write_status(
    workdir: str | os.PathLike,
    state: Literal["running", "stopped", "diverged", "finished"],
    *,
    step: int,
    total_steps: int,
) -> None:
    """Writes {"state", "step", "total_steps"}; of many processes, the first one.

    Args:
      workdir: the run's folder.
      state: "running" (also what a killed run leaves), "stopped" by a signal, "diverged" (no finite step any more), or
        "finished".
      step: finished steps.
      total_steps: those that the run is to have.
    """
    if jax.process_index():
        return
    with atomic_path(Path(workdir) / STATUS_FILE) as temporary:
        temporary.write_text(json.dumps({"state": state, "step": step, "total_steps": total_steps}) + "\n")
