"""A run's config on disk: `WORKDIR/config.json`, all that is needed to build the run's model again."""

import json
import os
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.bundled import bundled_names, run_folder
from motion_transformer_jax.configs import base
from motion_transformer_jax.errors import UserError

CONFIG_FILE = "config.json"

# What the saved weights, the optimizer's state or the order of the data hang on. Everything else (learning rates, loss
# weights, durations, logging, paths) may change when a run goes on.
FIXED_FIELDS = (
    "seed",
    "model",
    "transformer",
    "keypoint_detector",
    "region_predictor",
    "disentangler",
    "discriminator",
    "dense_motion",
    "generator",
    "background",
    "perceptual.weights",
    "optimizer.clip_motion_estimator",
    "optimizer.clip_generator",
    "optimizer.clip_background",
    "optimizer.ema_decay",
    "data.kind",
    "data.by_identity",
    "data.repeats",
    "data.puppet_identities",
    "data.puppet_clips",
    "data.puppet_frames",
    "data.puppet_markers",
    "train.objective",
    "train.batch_size",
)


def save_config(folder: str | os.PathLike, config: ConfigDict) -> None:
    """Write the config to `folder/config.json`, whole or not at all."""
    path = Path(folder) / CONFIG_FILE
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(config.to_dict(), indent=2) + "\n")


def load_config(run: str | os.PathLike) -> ConfigDict:
    """The locked config of a run; fields that are newer than the run have their defaults.

    Args:
      run: its folder, or the name of a model that comes with the package.

    Raises:
      UserError: when the folder or its config.json is missing, or config.json is no config of this project.
    """
    folder = run_folder(run)
    if not folder.is_dir():
        names = ", ".join(bundled_names())
        raise UserError(
            f"no folder {folder}; expected the folder of a training run, what train had as --workdir"
            + (f", or one of the models that come with the package: {names}" if names else "")
        )
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(
            f"no {CONFIG_FILE} in {folder}; expected the folder of a training run, what train had as --workdir"
        )
    try:
        values = json.loads(path.read_text())
        config = base.get_config().lock()
        config.update(_tuples(values))
        empty = next((name for name, value in _flatten(config.to_dict()).items() if value is None), None)
        if empty:  # ml_collections takes None for any type
            raise TypeError(f"{empty} is null")
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); restore it or train into another folder") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise UserError(f"{path} is no config of this version ({reason}); restore it or train again") from error
    return config


def config_changes(saved: ConfigDict, config: ConfigDict) -> dict[str, tuple]:
    """Fields that differ: {"train.num_steps": (saved value, new value)}."""
    old, new = _flatten(saved.to_dict()), _flatten(config.to_dict())
    return {name: (old.get(name), new[name]) for name in new if old.get(name) != new[name]}


def check_resumable(folder: str | os.PathLike, saved: ConfigDict, config: ConfigDict) -> None:
    """Refuse to go on with the run in `folder` under a config that its checkpoints do not fit.

    Raises:
      UserError: names each field of FIXED_FIELDS that differs, with both values and the flags that mend it.
    """
    changes = {
        name: values
        for name, values in config_changes(saved, config).items()
        if any(name == field or name.startswith(field + ".") for field in FIXED_FIELDS)
    }
    if not changes:
        return
    listed = ", ".join(f"{name}={new!r} but the run was started with {old!r}" for name, (old, new) in changes.items())
    flags = " ".join(f"--config.{name}={_as_flag(old)}" for name, (old, _) in changes.items())
    raise UserError(f"{folder} cannot be resumed: {listed}; choose another folder or pass {flags}")


def _as_flag(value):
    return f"'{value}'" if isinstance(value, (tuple, str)) else value


def _flatten(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _tuples(value):
    """JSON has lists only; configs have tuples only."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
