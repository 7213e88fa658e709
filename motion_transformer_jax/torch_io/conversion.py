"""Whole checkpoints: from an official PyTorch file to a run's folder, and from a run's folder to such a file."""

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import system_errors
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.pth import StateDict, TorchFile, read_torch_file, require_suffix, write_torch_file
from motion_transformer_jax.torch_io.recognition import (
    SYSTEMS,
    config_from,
    make_losses_possible,
    recognise,
    untold_fields,
)
from motion_transformer_jax.torch_io.state_dict import (
    nonfinite_tensors,
    state_dicts_from_variables,
    variables_from_state_dicts,
)
from motion_transformer_jax.training.checkpoint import CHECKPOINTS_FOLDER, load_variables
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.saved_config import CONFIG_FILE
from motion_transformer_jax.training.state import create_variables
from motion_transformer_jax.training.weights_folder import STEP, save_variables

logger = logging.getLogger(__name__)

_SHOWN = 6  # fields or tensors that a message names
# Entry of our own files with the settings that no shape tells, as JSON; the official code looks at its own entries.
_SETTINGS = "motion_transformer_jax"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        config: the model's config.
        num_tensors: in the PyTorch file, of state dicts.
        num_parameters: trained numbers.
        assumed: fields that nothing in the file tells, with the official values that were taken for them.
    """

    config: ConfigDict
    num_tensors: int
    num_parameters: int
    assumed: dict[str, Any]

    @property
    def system(self) -> str:
        """The name in SYSTEMS of the config's system."""
        return _system_of(self.config.model.estimator)


def from_torch(
    path: str | Path,
    out: str | Path,
    choose_config: Callable[[ConfigDict], ConfigDict],
    *,
    system: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Makes a run's folder from an official checkpoint; every tensor of its state dicts is used.

    Args:
        path: `.pth`, `.pth.tar` or `.safetensors`.
        out: the folder to make.
        choose_config: given the config that the file's shapes tell, the config to use.
        system: a name in SYSTEMS that the file must be of.
        overwrite: replace converted weights that are there.

    Raises:
        UserError: the file cannot be read, is of no system or of another one, or does not fit the config; or the
            folder cannot be written.
    """
    _check_target(Path(out), overwrite)
    file = read_torch_file(path)
    state_dicts = file.state_dicts
    try:
        fields = recognise(state_dicts)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    found = _system_of(fields["model.estimator"])
    if system not in (None, found):
        raise UserError(f"{path} holds a checkpoint of {found}, not of {system}; leave out --system or name {found}")
    settings = _stored_settings(path, file, fields)
    config = choose_config(config_from(fields | settings, Path(path).name.split(".")[0]))
    with config.unlocked():
        config.optimizer.ema_decay = 0.0  # there is one set of weights
        make_losses_possible(config)
    validate_config(config, need_data=False)
    variables = _fill(path, config, state_dicts, fields)
    _warn_of_nonfinite(path, state_dicts)
    with system_errors(Path(out)):
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    save_variables(out, config, variables)
    return Conversion(
        config,
        sum(map(len, state_dicts.values())),
        _count(variables["params"]),
        {name: _get(config, name) for name in untold_fields(fields) if name not in settings},
    )


def to_torch(run: str | Path, out: str | Path, *, step: int | str | None = None, overwrite: bool = False) -> Conversion:
    """Writes a run's weights as the official code stores its own, for `load_state_dict(..., strict=True)`.

    Args:
        run: a run's folder.
        out: `.pth`, `.pth.tar` (the format of PyTorch before 1.6) or `.safetensors`.
        step: as for `load_variables`.
        overwrite: replace a file that is there.

    Raises:
        UserError: the run cannot be read or the file cannot be written.
    """
    out = require_suffix(out)
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; pass --overwrite to replace it, or choose another name")
    config, variables = load_variables(run, step=step, discriminator=True)
    state_dicts = state_dicts_from_variables(variables, official_constants(config, variables))
    is_mraa = config.model.estimator == "region_predictor"
    if is_mraa or config.background.kind != "none":
        state_dicts.setdefault("bg_predictor", {})  # official loaders look for it even where it has no tensors
    epochs = ("epoch_reconstruction", "epoch_avd") if is_mraa else ("epoch",)
    _warn_of_nonfinite(run, state_dicts)
    if beyond := _beyond_official_code(config):
        logger.warning("%s: the official code has no %s; there the result differs or fails to load", run, beyond)
    settings = {name: _get(config, name) for name in _settings_of(recognise(state_dicts))}
    write_torch_file(out, state_dicts, dict.fromkeys(epochs, 0) | {_SETTINGS: json.dumps(settings)})
    return Conversion(config, sum(map(len, state_dicts.values())), _count(variables["params"]), {})


def _check_target(out: Path, overwrite: bool) -> None:
    """Refuse a target that holds anything, but for converted weights that may be replaced."""
    if not out.exists() or (out.is_dir() and not any(path.is_file() for path in out.rglob("*"))):
        return
    if not overwrite:
        raise UserError(f"{out} exists; pass --overwrite to replace it, or choose another folder")
    if not out.is_dir():
        raise UserError(f"{out} is a file; choose a folder")
    own = {CONFIG_FILE, CHECKPOINTS_FOLDER, f"{CHECKPOINTS_FOLDER}/{STEP}"}
    foreign = sorted(
        name
        for folder in (out, out / CHECKPOINTS_FOLDER)
        if folder.is_dir()
        for name in (str(path.relative_to(out)) for path in folder.iterdir())
        if name not in own
    )
    if foreign:
        raise UserError(
            f"{out} holds more than converted weights ({', '.join(foreign[:_SHOWN])}), which would be lost; "
            "choose another folder"
        )


def _fill(path: str | Path, config: ConfigDict, state_dicts: dict[str, StateDict], fields: dict[str, Any]) -> dict:
    template = jax.eval_shape(lambda: create_variables(config, jax.random.key(0)))
    try:
        return variables_from_state_dicts(state_dicts, template, official_constants(config, template))
    except UserError as error:
        flags = [
            f"--config.{name}={value!r}"
            for name, value in fields.items()
            if value != _get(config, name) and name not in untold_fields(fields) and not name.endswith(".max_features")
        ]
        hint = f"; the file's shapes tell {' '.join(flags[:_SHOWN])}" if flags else ""
        raise UserError(f"{path}: {error}{hint}") from error


def _settings_of(fields: dict[str, Any]) -> list[str]:
    """Fields that our own files carry; only our own models align corners."""
    return [*untold_fields(fields), "model.align_corners"]


def _stored_settings(path: str | Path, file: TorchFile, fields: dict[str, Any]) -> dict[str, Any]:
    text = file.others.get(_SETTINGS, "{}")
    try:
        settings = {name: value for name, value in json.loads(text).items() if name in _settings_of(fields)}
        config_from(fields | settings, "")
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its entry '{_SETTINGS}' is damaged ({error}); write the file again") from error
    return settings


def _get(config: ConfigDict, name: str) -> Any:
    group, field = name.split(".")
    return config[group][field]


def _warn_of_nonfinite(path: str | Path, state_dicts: dict[str, StateDict]) -> None:
    names = nonfinite_tensors(state_dicts)
    if names:
        more = ", ..." if len(names) > _SHOWN else ""
        logger.warning("%s: %d tensors hold NaN or infinity: %s%s", path, len(names), ", ".join(names[:_SHOWN]), more)


def _beyond_official_code(config: ConfigDict) -> str:
    """What the config has and the official code of its system lacks, in words; empty where there is nothing."""
    model, transformer, estimator = config.model, config.transformer, config.model.estimator
    is_transformer, is_mraa = estimator == "motion_transformer", estimator == "region_predictor"
    is_stem, is_large = transformer.backbone == "stem", transformer.stacks > 1
    found = {
        "model.align_corners=True": model.align_corners,
        "model.revert_axis_swap=True": model.revert_axis_swap and not is_mraa,
        "generator.skips=True": config.generator.skips and estimator == "keypoint_detector",
        "background predictor": config.background.kind != "none" and estimator == "keypoint_detector",
        "discriminator": config.discriminator.enabled and is_mraa,
        "disentangler": config.disentangler.enabled and not is_mraa,
    }
    if is_transformer:
        found |= {
            f"transformer.scale={transformer.scale}": transformer.scale != 1,
            f"stem with transformer.stacks={transformer.stacks}": is_stem and is_large,
            f"transformer.stacks={transformer.stacks}": is_large and transformer.stacks != 3,
            f"transformer.stem_features={transformer.stem_features}": transformer.stem_features != 64,
            "transformer.image_attends_to_motion=False here": (
                not transformer.image_attends_to_motion and (is_stem or is_large)
            ),
            "transformer.imagenet_normalize=True with a stem": transformer.imagenet_normalize and is_stem,
            "transformer.position=none with several stacks": is_large and transformer.position == "none",
        }
    return ", ".join(name for name, is_there in found.items() if is_there)


def _system_of(estimator: str) -> str:
    return next(system for system, name in SYSTEMS.items() if name == estimator)


def _count(params: dict) -> int:
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
