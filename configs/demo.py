"""The demo: puppets at 64×64, a small motion transformer, a few minutes on two CPU cores.

    make demo

The perceptual loss uses a VGG19 with random weights (fixed seed), so that nothing is downloaded.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants

# All of a frame passes the generator's narrowest features then, which one halving leaves larger than two.
WITHOUT_SKIPS = {"generator.num_down_blocks": 1, "optimizer.learning_rate_generator": 5e-4}
SHORT = {
    "fomm": WITHOUT_SKIPS,
    "fomm_adv": WITHOUT_SKIPS,
    "mraa": {"train.batch_size": 8},
    # An epoch has 600 steps: rates fall after 390 and 510 steps, about where the official schedule has it.
    "mraa_avd": {"train.batch_size": 64, "train.num_steps": 600, "optimizer.milestones_epochs": (0.65, 0.85)},
}


def get_config(variant: str = "") -> ConfigDict:
    """A model and a schedule that learn to move a puppet in minutes."""
    config = base.get_config()
    config.name = "demo"
    config.model.image_size = 64
    config.model.align_corners = True
    config.transformer.backbone = "stem"
    config.transformer.stem_features = 32
    config.transformer.patch_size = 2
    config.transformer.dim = 96
    config.transformer.depth = 3
    config.transformer.heads = 4
    config.transformer.token_std = 1.0
    for detector in (config.keypoint_detector, config.region_predictor):
        detector.update(base_features=16, max_features=128, num_blocks=3, scale=0.5, padding=3)
    config.discriminator.base_features = 16
    config.discriminator.max_features = 64
    config.discriminator.num_blocks = 3
    config.background.base_features = 8
    config.background.max_features = 64
    config.background.num_blocks = 4
    config.dense_motion.base_features = 16
    config.dense_motion.max_features = 128
    config.dense_motion.num_blocks = 3
    config.dense_motion.scale = 0.5
    config.generator.base_features = 16
    config.generator.max_features = 64
    config.generator.num_bottleneck_blocks = 2
    config.loss.scales = (1.0, 0.5)
    config.loss.perceptual = (10.0, 10.0, 0.0, 0.0, 0.0)
    config.loss.feature_matching = (10.0, 10.0, 10.0)
    config.perceptual.weights = "random"
    config.optimizer.learning_rate_motion_estimator = 1e-3
    # Chosen by looking: with equal rates one mask held the whole figure (BUILD_NOTES.md has the trials).
    config.optimizer.learning_rate_generator = 2e-4
    config.optimizer.ema_decay = 0.99
    config.data.kind = "puppets"
    config.augmentation.update(variants.ORDER_ALONE)
    config.train.batch_size = 8
    config.train.num_steps = 1200
    config.train.log_every_steps = 20
    config.train.picture_every_steps = 200
    config.train.validate_every_steps = 200
    config.train.checkpoint_every_steps = 100
    return variants.apply(config, variant, SHORT)
