"""Which system and variant official state dicts are of, as their keys and shapes tell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, taichi256, ted384, variants
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import ESTIMATORS
from motion_transformer_jax.torch_io.network_sizes import (
    TensorShapes,
    background_fields,
    dense_motion_fields,
    detector_fields,
    discriminator_fields,
    disentangler_fields,
    generator_fields,
    transformer_fields,
)

# What users call the three systems, and their motion estimators.
SYSTEMS = dict(zip(("motion_transformer", "fomm", "mraa"), ESTIMATORS, strict=True))
# What decides a model's results and no shape tells, by estimator.
_UNTOLD = {
    "motion_transformer": ("transformer.heads", "transformer.imagenet_normalize"),
    "keypoint_detector": ("keypoint_detector.temperature", "keypoint_detector.padding"),
    "region_predictor": (
        "region_predictor.temperature",
        "region_predictor.padding",
        "dense_motion.covariance_heatmaps",
        "model.revert_axis_swap",
        "animate.adapt_scale",
    ),
}
_UNTOLD_OF_ALL = ("generator.skips", "animate.mode")
_VGG_HALVINGS = 4  # before the perceptual loss's last tap


def recognise(state_dicts: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Every config field that the keys and shapes tell: {"model.num_keypoints": 10, ...}.

    Raises:
        UserError: the state dicts are of none of the three systems, or lack what all of them have.
    """
    shapes = TensorShapes(state_dicts)
    estimator = _estimator(shapes)
    return {
        "model.estimator": estimator,
        **(transformer_fields(shapes) if estimator == "motion_transformer" else detector_fields(shapes, estimator)),
        **dense_motion_fields(shapes, estimator),
        **generator_fields(shapes),
        **background_fields(shapes),
        **discriminator_fields(shapes),
        **disentangler_fields(shapes),
    }


def config_from(fields: Mapping[str, Any], name: str) -> ConfigDict:
    """A config of recognised fields, and its system's official defaults for the rest.

    Args:
        fields: from `recognise`.
        name: the config's name.
    """
    variant = {"motion_transformer": "", "keypoint_detector": "fomm", "region_predictor": "mraa"}
    config = variants.apply(_experiment(fields), variant[fields["model.estimator"]])
    config.name = name
    config.update_from_flattened_dict(fields)
    if config.disentangler.enabled:
        config.animate.mode = "avd"
    return config


def make_losses_possible(config: ConfigDict) -> None:
    """Fit the losses to the model's sizes: nothing is trained with them here, but a run's config must be valid."""
    size, loss = config.model.image_size, config.loss
    if len(loss.feature_matching) != config.discriminator.num_blocks:
        loss.feature_matching = (10.0,) * config.discriminator.num_blocks
    loss.scales = tuple(scale for scale in loss.scales if int(size * scale) >> _VGG_HALVINGS) or (1.0,)


def _experiment(fields: Mapping[str, Any]) -> ConfigDict:
    """Of the official experiments the one that the fields point to, for what they do not tell."""
    if fields["model.estimator"] == "motion_transformer":
        if fields["background.kind"] != "none":
            return taichi256.get_config()
        if fields.get("model.image_size") == ted384.get_config().model.image_size:
            return ted384.get_config()
    return base.get_config()


def untold_fields(fields: Mapping[str, Any]) -> list[str]:
    """Fields that the recognised system's results hang on and that no shape tells."""
    untold = [*_UNTOLD_OF_ALL, *_UNTOLD[fields["model.estimator"]]]
    if fields.get("transformer.position") == "sine_every_layer":  # or "sine"
        untold.append("transformer.position")
    if "model.image_size" not in fields:
        untold.append("model.image_size")
    return untold


def _estimator(shapes: TensorShapes) -> str:
    if shapes.has("region_predictor", "regions.weight"):
        return "region_predictor"
    hourglass = shapes.has("kp_detector", "predictor.encoder.down_blocks.0.conv.weight")
    if hourglass and shapes.has("kp_detector", "kp.weight"):
        return "keypoint_detector"
    for backbone, tokens in (("pre_feature", "transformer"), ("features", "features")):
        if shapes.has("kp_detector", f"{backbone}.conv1.weight") and shapes.has(
            "kp_detector", f"{tokens}.keypoint_token"
        ):
            return "motion_transformer"
    held = ", ".join(f"{name or 'one state dict'} ({len(keys)} tensors)" for name, keys in shapes.of.items())
    raise UserError(
        f"no motion estimator of {', '.join(SYSTEMS)} is recognised among {held or 'no state dicts'}; "
        "expected an official checkpoint with 'kp_detector' or 'region_predictor'"
    )
