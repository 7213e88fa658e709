"""The folder of a run."""

import os
import tempfile
from pathlib import Path

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checkpoint_files import CHECKPOINTS_FOLDER
from motion_transformer_jax.training.metrics import METRICS_FILE
from motion_transformer_jax.training.nonfinite import BATCH_FILE
from motion_transformer_jax.training.run_status import STATUS_FILE
from motion_transformer_jax.training.samples import SAMPLES_FOLDER


def make_workdir(workdir: str | os.PathLike) -> Path:
    """The run's folder, made and tried out, so that a run does not fail at its first checkpoint.

    Raises:
      UserError: an address, a folder that cannot be written, one in which something else has the name of what a run
        keeps there, or a dump of `nonfinite`.
    """
    if "://" in str(workdir):
        raise UserError(f"--workdir {workdir} is an address; expected a folder, as of a mounted bucket")
    workdir = Path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write into {workdir} ({error.strerror}); choose a folder that can be written"
        ) from error
    for name in (METRICS_FILE, STATUS_FILE, CHECKPOINTS_FOLDER, SAMPLES_FOLDER):
        path, kind = workdir / name, "folder" if name in (CHECKPOINTS_FOLDER, SAMPLES_FOLDER) else "file"
        if path.exists() and not (path.is_dir() if kind == "folder" else path.is_file()):
            raise UserError(f"{path} is in the way: a run has a {kind} of that name; move it, or choose another folder")
    if (workdir / BATCH_FILE).exists():
        raise UserError(
            f"{workdir} holds a step that was not finite, no run to go on with; "
            f"`motrans train --replay {workdir}` takes it again"
        )
    return workdir
