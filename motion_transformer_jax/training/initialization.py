"""The weights that a new run starts from: freshly drawn, or those of another run. A resumed run needs none of it."""

import logging
from typing import Any

import jax
from ml_collections import ConfigDict

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.hrnet import load_imagenet_hrnet
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.state import DISENTANGLER, TrainState, with_fresh_average
from motion_transformer_jax.training.tree_check import check_tree

logger = logging.getLogger(__name__)

# Fields by group that decide a model's results and that no shape tells; the groups of other estimators do not count.
SETTINGS = {
    "model": ("align_corners", "revert_axis_swap"),
    "dense_motion": ("covariance_heatmaps",),
    "generator": ("skips",),
    "transformer": ("scale", "heads", "position", "image_attends_to_motion", "imagenet_normalize"),
    "keypoint_detector": ("scale", "temperature", "padding"),
    "region_predictor": ("scale", "temperature", "padding"),
}
GROUP_OF_ESTIMATOR = {"motion_transformer": "transformer"}


def with_initial_weights(config: ConfigDict, state: TrainState) -> TrainState:
    """The freshly drawn state with the weights that the config names in their places.

    Raises:
      UserError: the weights are missing or cannot be read, or are those of another model.
    """
    if config.train.init_from:
        state = _with_weights_of_run(config, state, config.train.init_from)
    if config.train.backbone_path:
        state = _with_imagenet_backbone(state, config.train.backbone_path)
    return state if state.ema_params is None else with_fresh_average(state)


def _with_weights_of_run(config: ConfigDict, state: TrainState, folder: str) -> TrainState:
    """The state with all parts that the run has too; its averaged weights, where it keeps them."""
    run_config, run = load_variables(folder, discriminator=True)
    _check_settings(config, run_config)
    parts = [part for part in state.params if part in run["params"]]
    fresh = sorted(state.params.keys() - set(parts))
    ignored = sorted(run["params"].keys() - set(parts))
    if config.train.objective == "disentanglement" and (missing := sorted(set(fresh) - {DISENTANGLER})):
        raise UserError(
            f"train.init_from={folder} has no {', '.join(missing)}, which a disentangler is trained upon; "
            "choose a run of the same model, without the disentangler or with it"
        )
    fresh_variables = {"params": state.params, "batch_stats": state.batch_stats}
    check_tree(
        folder,
        _only(parts, run),
        _only(parts, fresh_variables),
        advice="choose a run of the same model for train.init_from, or set the config's model as the run's",
    )
    if jax.process_index() == 0:
        listed = {"drawn anew": fresh, "not used": ignored}
        rest = "".join(f"; {what}: {', '.join(names)}" for what, names in listed.items() if names)
        logger.info("starting from %s: %s%s", folder, ", ".join(parts), rest)
    params, batch_stats = ({**fresh_variables[name], **_only(parts, run)[name]} for name in ("params", "batch_stats"))
    return state.replace(params=params, batch_stats=batch_stats)


def _with_imagenet_backbone(state: TrainState, path: str) -> TrainState:
    """The state with a motion transformer's HRNet as it was trained on ImageNet."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    backbone = load_imagenet_hrnet(path, variables)
    for name, parts in variables.items():
        estimator = {**parts["motion_estimator"], "backbone": jax.device_put(backbone[name])}
        variables[name] = {**parts, "motion_estimator": estimator}
    if jax.process_index() == 0:
        logger.info("the backbone starts from %s", path)
    return state.replace(**variables)


def _check_settings(config: ConfigDict, run: ConfigDict) -> None:
    """Compare what decides a model's results beside its shapes; a frozen model must be run as it was trained."""
    if (found := run.model.estimator) != config.model.estimator:
        raise UserError(
            f"train.init_from={config.train.init_from} holds a {found} and the config has a {config.model.estimator}; "
            "choose a run of the same system"
        )
    differing = {
        f"{group}.{name}": (run[group][name], config[group][name])
        for group in ("model", "dense_motion", "generator", GROUP_OF_ESTIMATOR.get(found, found))
        for name in SETTINGS[group]
        if run[group][name] != config[group][name]
    }
    if not differing:
        return
    listed = ", ".join(f"{name} is {new!r} and was {old!r}" for name, (old, new) in differing.items())
    message = f"train.init_from={config.train.init_from} was trained with other settings ({listed})"
    flags = " ".join(f"--config.{name}={old}" for name, (old, _) in differing.items())
    if config.train.objective == "disentanglement":
        raise UserError(f"{message}; pass {flags}")
    logger.warning("%s; to keep them pass %s", message, flags)


def _only(parts: list[str], variables: dict[str, Any]) -> dict[str, Any]:
    return {name: {part: tree[part] for part in parts if part in tree} for name, tree in variables.items()}
