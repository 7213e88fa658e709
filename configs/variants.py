"""Variants that every experiment takes after a colon: `configs/taichi256.py:stem`, several joined by commas.

The poster's ablations: `stem`, `hrnet_w48` (backbones), `depth4`, `depth8` (layers), `no_position` (no position
encoding). `debug` shrinks any experiment to a minute of CPU on procedural puppets.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from motion_transformer_jax.errors import UserError


def apply(config: ConfigDict, variant: str) -> ConfigDict:
    """The config with the comma-separated variants applied in order; raises UserError on an unknown one."""
    for name in filter(None, variant.split(",")):
        if name not in VARIANTS:
            raise UserError(
                f"unknown variant '{name}' of config '{config.name}'; expected one of {', '.join(VARIANTS)}"
            )
        VARIANTS[name](config)
        config.name = f"{config.name}-{name}"
    return config


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
    config.perceptual.weights = "random"
    config.data.kind = "puppets"
    config.data.puppet_identities = 8
    config.data.puppet_clips = 2
    config.data.puppet_frames = 16
    config.train.batch_size = 8
    config.train.num_steps = 20
    config.train.log_every_steps = 5
    config.train.picture_every_steps = 10
    config.train.validate_every_steps = 10
    config.train.validation_pairs = 8
    config.train.checkpoint_every_steps = 10


VARIANTS: dict[str, Callable[[ConfigDict], None]] = {
    "stem": _stem,
    "hrnet_w48": _hrnet_w48,
    "depth4": _depth4,
    "depth8": _depth8,
    "no_position": _no_position,
    "debug": _debug,
}
