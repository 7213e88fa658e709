"""The bundled model: a small motion transformer for puppets, 128×128. `make puppets` trains it, in three stages:

the motion estimator alone by the puppets' joints and then all of it at 64×64 (`configs/puppets64.py`), and all of it at
128×128 from those weights. The perceptual loss uses a VGG19 with random weights (fixed seed): nothing is downloaded.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants


def get_config(variant: str = "") -> ConfigDict:
    """A model of 6 MB in half precision, and the stage of its training at full size."""
    config = base.get_config()
    config.name = "puppets"
    config.model.image_size = 128
    config.model.align_corners = True
    config.transformer.update(
        backbone="stem", stem_features=32, patch_size=2, dim=128, depth=4, heads=4, token_std=1.0, keypoint_std=0.1
    )
    config.transformer.scale = 0.5  # it sees 64×64, as in the stages before, so that its weights fit from the start
    config.dense_motion.update(base_features=32, max_features=256, num_blocks=3)
    config.generator.update(base_features=32, max_features=128, num_bottleneck_blocks=3)
    config.loss.scales = (1.0, 0.5, 0.25)
    config.loss.perceptual = (10.0, 10.0, 0.0, 0.0, 0.0)
    # Without it keypoints follow the figure's middle in a training of hours: BUILD_NOTES.md.
    config.loss.landmark_guidance = 10.0
    config.loss.warp_sigma_affine = 0.15
    config.loss.warp_sigma_tps = 0.01
    config.perceptual.weights = "random"
    config.optimizer.learning_rate_motion_estimator = 2e-4
    config.optimizer.learning_rate_generator = 5e-4
    config.optimizer.ema_decay = 0.995
    config.optimizer.milestones_epochs = (1000,)
    config.data.kind = "puppets"
    config.data.puppet_identities = 512
    config.data.puppet_clips = 5
    config.data.puppet_frames = 64
    config.augmentation.update({**variants.ORDER_ALONE, "time_flip": False})
    config.animate.mode = "absolute"  # keypoints lie on the same parts of all puppets
    config.train.batch_size = 8
    config.train.num_steps = 775
    config.train.log_every_steps = 25
    config.train.picture_every_steps = 200
    config.train.validate_every_steps = 200
    config.train.validation_pairs = 256
    config.train.checkpoint_every_steps = 200
    return variants.apply(config, variant)
