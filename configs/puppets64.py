"""The bundled model's earlier stages: that of `configs/puppets.py` at 64×64, where a step takes a sixth of the time."""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import puppets, variants


def get_config(variant: str = "") -> ConfigDict:
    """The settings of the second stage; those that the first one has instead stand in the Makefile."""
    config = puppets.get_config()
    config.name = "puppets64"
    config.model.image_size = 64
    config.transformer.scale = 1.0
    config.dense_motion.scale = 0.5  # a flow field of 32×32, as at 128×128
    config.keypoint_detector.scale = config.region_predictor.scale = 0.5  # for the variants
    config.train.num_steps = 9692
    return variants.apply(config, variant)
