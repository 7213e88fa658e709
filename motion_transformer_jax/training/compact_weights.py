"""A model in two small files, to be given away: config.json, and weights.npz with parameters in half precision."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_folder, check_target
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.saved_config import CONFIG_FILE, save_config

WEIGHTS_FILE = "weights.npz"
_MOST_COMPRESSION = 100  # of random numbers hardly any
_DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, MemoryError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
)


def save_compact(
    folder: str | os.PathLike, config: ConfigDict, variables: Mapping[str, Any], *, overwrite: bool = False
) -> int:
    """Writes a folder that `checkpoint.load_variables` reads, whole or not at all.

    Args:
      folder: the folder to make.
      config: the config of the model.
      variables: {"params": ..., "batch_stats": ...}, arrays; parameters are rounded to float16, statistics stay.
      overwrite: replace earlier compact weights.

    Returns:
      Bytes of the folder's files.

    Raises:
      UserError: the folder cannot be written, there is one that may not be replaced, or a parameter is beyond
        float16's range.
    """
    check_target(folder, overwrite=overwrite, what="compact weights", own=(WEIGHTS_FILE, CONFIG_FILE))
    flat = {path: np.asarray(array) for path, array in flatten_dict(dict(variables), sep="/").items()}
    with np.errstate(over="ignore"):  # told below
        rounded = {
            name: array.astype(np.float16) if name.startswith("params/") else array for name, array in flat.items()
        }
    for path, array in rounded.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path} is beyond the range of half precision; this model cannot be made compact")
    with atomic_folder(folder) as temporary:
        save_config(temporary, config)
        np.savez_compressed(temporary / WEIGHTS_FILE, **rounded)
        return sum(path.stat().st_size for path in temporary.iterdir())


def is_compact(folder: str | os.PathLike) -> bool:
    """Whether `save_compact` made the folder."""
    return (Path(folder) / WEIGHTS_FILE).is_file()


def load_compact(folder: str | os.PathLike) -> dict[str, Any]:
    """The variables {"params": ..., "batch_stats": ...}, float32.

    Raises:
      UserError: the file cannot be read.
    """
    path = Path(folder) / WEIGHTS_FILE
    try:
        with path.open("rb") as file:  # np.load leaves a file open that it cannot read
            with zipfile.ZipFile(file) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > _MOST_COMPRESSION * path.stat().st_size:
                    raise ValueError("it claims far more than it holds")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                flat = {name: arrays[name].astype(np.float32) for name in arrays.files}
        return {"batch_stats": {}, **unflatten_dict(flat, sep="/")}
    except _DAMAGED as error:
        raise UserError(f"{path} cannot be read ({error}); make the folder anew") from error
