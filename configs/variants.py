"""Variants that every experiment takes after a colon: `configs/taichi256.py:stem`, several joined by commas.

The systems that the paper compares with: `fomm`, `fomm_adv` (with a discriminator), `mraa`, and `mraa_avd`, which
trains MRAA's disentangler upon a trained MRAA (`--config.train.init_from=RUN`). The poster's ablations: `stem`,
`hrnet_w48` (backbones), `depth4`, `depth8` (layers), `no_position` (no position encoding). `debug` shrinks any
experiment to a minute of CPU on procedural puppets.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from motion_transformer_jax.errors import UserError


def apply(
    config: ConfigDict, variant: str, official: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> ConfigDict:
    """The config with the comma-separated variants applied in order: a later one wins.

    Args:
        config: an experiment's, changed in place.
        variant: names from VARIANTS.
        official: fields that a variant has in this experiment only, such as {"fomm": {"data.repeats": 75}}; they are
            set after the variant's own.

    Raises:
        UserError: an unknown variant, or two that exclude each other.
    """
    names = list(filter(None, variant.split(",")))
    for name in names:
        if name not in VARIANTS:
            raise UserError(
                f"unknown variant '{name}' of config '{config.name}'; expected one of {', '.join(VARIANTS)}"
            )
    systems, ablations = ([name for name in names if name in group] for group in (SYSTEMS, ABLATIONS))
    if len(systems) > 1 or (systems and ablations):
        raise UserError(
            f"variants {' and '.join([*systems, *ablations][:2])} exclude each other; expected one system, and "
            f"{', '.join(ABLATIONS)} without any of {', '.join(SYSTEMS)}"
        )
    for name in names:
        VARIANTS[name](config)
        config.update_from_flattened_dict(official.get(name, {}))
    config.name = "-".join([config.name, *names])
    return config


# For runs of minutes: pairs as they are but for the order of their frames.
ORDER_ALONE = MappingProxyType(
    dict(
        horizontal_flip=False,
        time_flip=True,
        rotation_degrees=0.0,
        resize_ratio=(1.0, 1.0),
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        hue=0.0,
    )
)


def _fomm(config: ConfigDict) -> None:
    config.model.estimator = "keypoint_detector"
    config.generator.skips = False
    config.background.kind = "none"
    config.loss.background_mask = 0.0
    config.loss.mask_concentration = 0.0
    config.optimizer.clip_motion_estimator = 0.0
    config.augmentation.rotation_degrees = 0.0
    config.animate.mode = "relative"


def _fomm_adv(config: ConfigDict) -> None:
    _fomm(config)
    config.discriminator.enabled = True
    config.discriminator.use_keypoints = True
    config.loss.adversarial = 1.0
    config.optimizer.milestones_epochs = ()
    config.train.num_epochs = 150


def _mraa(config: ConfigDict) -> None:
    config.model.estimator = "region_predictor"
    config.model.revert_axis_swap = True
    config.dense_motion.covariance_heatmaps = True
    config.generator.skips = True
    config.background.kind = "affine"
    config.loss.background_mask = 0.0
    config.loss.mask_concentration = 0.0
    config.optimizer.clip_motion_estimator = 0.0
    config.augmentation.rotation_degrees = 0.0
    config.train.batch_size = 14
    config.animate.mode = "relative"
    config.animate.adapt_scale = True


def _mraa_avd(config: ConfigDict) -> None:
    _mraa(config)
    config.disentangler.enabled = True
    config.loss.landmark_guidance = 0.0
    config.optimizer.milestones_epochs = (20, 25)
    config.train.objective = "disentanglement"
    config.train.num_epochs = 30
    config.train.batch_size = 256
    config.animate.mode = "avd"


def _stem(config: ConfigDict) -> None:
    config.transformer.backbone = "stem"


def _hrnet_w48(config: ConfigDict) -> None:
    config.transformer.backbone = "hrnet_w48"


def _depth4(config: ConfigDict) -> None:
    config.transformer.depth = 4


def _depth8(config: ConfigDict) -> None:
    config.transformer.depth = 8


def _no_position(config: ConfigDict) -> None:
    config.transformer.position = "none"


def _debug(config: ConfigDict) -> None:
    config.model.image_size = 32
    config.model.num_keypoints = 4
    config.transformer.backbone = "stem"
    config.transformer.patch_size = 2
    config.transformer.dim = 32
    config.transformer.depth = 2
    config.transformer.heads = 2
    for detector in (config.keypoint_detector, config.region_predictor):
        detector.update(base_features=8, max_features=32, num_blocks=2, scale=0.5, padding=3)
    config.discriminator.num_blocks = 2
    config.loss.feature_matching = (10.0, 10.0)
    config.dense_motion.base_features = 8
    config.dense_motion.max_features = 32
    config.dense_motion.num_blocks = 2
    config.generator.base_features = 8
    config.generator.max_features = 32
    config.generator.num_bottleneck_blocks = 1
    config.background.base_features = 8
    config.background.max_features = 32
    config.background.num_blocks = 2
    config.loss.scales = (1.0,)
    config.loss.perceptual = (10.0, 10.0, 0.0, 0.0, 0.0)
    config.loss.landmark_guidance = 0.0
    config.perceptual.weights = "random"
    config.data.kind = "puppets"
    config.data.puppet_identities = 8
    config.data.puppet_clips = 2
    config.data.puppet_frames = 16
    config.augmentation.update(ORDER_ALONE)
    config.train.batch_size = 8
    config.train.num_steps = 20
    config.train.log_every_steps = 5
    config.train.picture_every_steps = 10
    config.train.validate_every_steps = 10
    config.train.validation_pairs = 8
    config.train.checkpoint_every_steps = 10


VARIANTS: dict[str, Callable[[ConfigDict], None]] = {
    "fomm": _fomm,
    "fomm_adv": _fomm_adv,
    "mraa": _mraa,
    "mraa_avd": _mraa_avd,
    "stem": _stem,
    "hrnet_w48": _hrnet_w48,
    "depth4": _depth4,
    "depth8": _depth8,
    "no_position": _no_position,
    "debug": _debug,
}
SYSTEMS = ("fomm", "fomm_adv", "mraa", "mraa_avd")
# Of the motion transformer; they change nothing in another system.
ABLATIONS = ("stem", "hrnet_w48", "depth4", "depth8", "no_position")
