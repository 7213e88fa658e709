"""The first stage of `configs/puppets.py`: the same model at 64×64, on frames half a second apart at most."""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import puppets, variants


def get_config(variant: str = "") -> ConfigDict:
    """The settings of the first stage."""
    config = puppets.get_config()
    config.name = "puppets64"
    config.model.image_size = 64
    config.dense_motion.scale = 0.5  # a flow field of 32×32, as in the second stage
    config.keypoint_detector.scale = config.region_predictor.scale = 0.5  # for the variants
    config.optimizer.learning_rate_motion_estimator = 1e-3
    config.data.puppet_frames = 16  # limbs are found while they move little
    config.train.num_steps = 12000
    return variants.apply(config, variant)
