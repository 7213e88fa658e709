"""Find a config's mistakes before anything is built or downloaded."""

from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.bundled import run_folder
from motion_transformer_jax.data.augment import Augmentation
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import ESTIMATORS
from motion_transformer_jax.models.backbone import BACKBONES
from motion_transformer_jax.models.background import BACKGROUNDS
from motion_transformer_jax.models.region_predictor import AFFINES
from motion_transformer_jax.models.token_transformer import POSITIONS
from motion_transformer_jax.training.landmark_guidance import PARTS
from motion_transformer_jax.training.size_check import are_numbers, check_sizes, is_one_over_whole

CHOICES = {
    "dtype": ("float32", "bfloat16"),
    "model.estimator": ESTIMATORS,
    "region_predictor.affine": AFFINES,
    "transformer.backbone": BACKBONES,
    "transformer.position": POSITIONS,
    "background.kind": BACKGROUNDS,
    "perceptual.weights": ("imagenet", "random"),
    "data.kind": ("folder", "puppets"),
    "train.objective": ("reconstruction", "disentanglement", "landmarks"),
    "animate.mode": ("relative", "absolute", "avd"),
}
# Field: smallest value allowed.
AT_LEAST = {
    "seed": 0,
    "model.image_size": 1,
    "model.num_keypoints": 1,
    "transformer.stem_features": 1,
    "transformer.patch_size": 1,
    "transformer.token_std": 0,
    "transformer.keypoint_std": 0,
    "train.max_skipped_steps": 1,
    "train.stall_minutes": 0,
    "transformer.dim": 1,
    "transformer.depth": 1,
    "transformer.heads": 1,
    "transformer.mlp_ratio": 1,
    "transformer.stacks": 1,
    "dense_motion.base_features": 1,
    "dense_motion.max_features": 1,
    "dense_motion.num_blocks": 1,
    "keypoint_detector.base_features": 1,
    "keypoint_detector.max_features": 1,
    "keypoint_detector.num_blocks": 1,
    "keypoint_detector.padding": 0,
    "region_predictor.base_features": 1,
    "region_predictor.max_features": 1,
    "region_predictor.num_blocks": 1,
    "region_predictor.padding": 0,
    "disentangler.identity_features": 1,
    "disentangler.pose_features": 1,
    "discriminator.base_features": 1,
    "discriminator.max_features": 1,
    "discriminator.num_blocks": 1,
    "generator.base_features": 1,
    "generator.max_features": 1,
    "generator.num_down_blocks": 0,
    "generator.num_bottleneck_blocks": 0,
    "background.base_features": 1,
    "background.max_features": 1,
    "background.num_blocks": 1,
    "loss.equivariance_keypoints": 0,
    "loss.equivariance_affine": 0,
    "loss.keypoint_separation": 0,
    "loss.separation_radius": 1e-3,
    "loss.landmark_guidance": 0,
    "loss.background_mask": 0,
    "loss.mask_concentration": 0,
    "loss.adversarial": 0,
    "loss.discriminator": 0,
    "loss.disentangled_keypoints": 0,
    "loss.disentangled_affine": 0,
    "loss.disentangled_scale": 0,
    "loss.warp_sigma_affine": 0,
    "loss.warp_sigma_tps": 0,
    "loss.warp_points": 2,
    "optimizer.learning_rate_motion_estimator": 0,
    "optimizer.learning_rate_generator": 0,
    "optimizer.learning_rate_background": 0,
    "optimizer.learning_rate_discriminator": 0,
    "optimizer.learning_rate_disentangler": 0,
    "optimizer.clip_motion_estimator": 0,
    "optimizer.clip_generator": 0,
    "optimizer.clip_background": 0,
    "data.repeats": 1,
    "data.worker_count": 0,
    "data.puppet_identities": 8,  # a quarter of them are for testing, and one moves another
    "data.puppet_clips": 1,
    "data.puppet_frames": 2,
    "train.batch_size": 1,
    "train.num_epochs": 1,
    "train.num_steps": 0,
    "train.log_every_steps": 1,
    "train.picture_every_steps": 1,
    "train.validate_every_steps": 1,
    "train.validation_pairs": 1,
    "train.checkpoint_every_steps": 1,
    "train.keep_last": 1,
}
_HALVINGS = (".num_blocks", ".num_down_blocks")
MOST_HALVINGS = 16
BELOW_ONE = ("optimizer.b1", "optimizer.b2", "optimizer.ema_decay")  # and not negative
VGG_TAPS = 5  # relu1_1 ... relu5_1; each is taken after one more halving of the image


def validate_config(config: ConfigDict, *, device_count: int = 1, need_data: bool = True, is_new: bool = True) -> None:
    """Check a training config as a whole.

    Args:
      config: the experiment's config.
      device_count: devices of all processes that share a batch.
      need_data: False leaves out whether `data.folder`, the VGG's file and the weights to start from are there.
      is_new: False for a run that is resumed: it does not read the weights to start from again.

    Raises:
      UserError: one line with every problem found, separated by "; ".
    """
    problems = [*_check_values(config)]
    if not problems:  # what follows divides by the values above
        problems = [*check_sizes(config), *_check_systems(config), *_check_loss(config), *_check_augmentation(config)]
    problems += _check_optimizer(config)
    if config.train.batch_size % device_count:
        problems.append(
            f"train.batch_size={config.train.batch_size} is not divisible by the {device_count} devices; "
            f"take a multiple of {device_count}"
        )
    if need_data:
        problems += _check_files(config)
        if is_new:
            problems += _check_start(config)
    if problems:
        raise UserError("; ".join(problems))


def _check_values(config) -> Iterator[str]:
    for field, choices in CHOICES.items():
        value = _get(config, field)
        if value not in choices:
            yield f"{field}={value!r} is unknown; expected one of {', '.join(choices)}"
    for field, least in AT_LEAST.items():
        value = _get(config, field)
        if not least <= value < float("inf"):
            yield f"{field}={value} is out of range; expected a finite number, {least} or more"
        elif field.endswith(_HALVINGS) and value > MOST_HALVINGS:  # 2 to that power is taken
            yield f"{field}={value} is out of range; expected {MOST_HALVINGS} or fewer"


def _check_systems(config) -> Iterator[str]:
    """Parts that need each other."""
    if config.dense_motion.covariance_heatmaps and config.model.estimator != "region_predictor":
        yield "dense_motion.covariance_heatmaps needs model.estimator=region_predictor, which alone gives covariances"
    if config.animate.mode == "avd" and not config.disentangler.enabled:
        yield "animate.mode=avd needs disentangler.enabled=True"
    if config.train.objective == "disentanglement" and not config.disentangler.enabled:
        yield "train.objective=disentanglement needs disentangler.enabled=True"
    if config.train.objective == "landmarks" and config.loss.landmark_guidance == 0:
        yield "train.objective=landmarks needs a loss.landmark_guidance above 0"
    if config.loss.adversarial > 0 and not config.discriminator.enabled:
        yield "loss.adversarial above 0 needs discriminator.enabled=True"


def _check_loss(config) -> Iterator[str]:
    scales, weights = config.loss.scales, config.loss.perceptual
    if config.loss.keypoint_separation > 0 and config.model.num_keypoints < 2:
        yield "loss.keypoint_separation needs 2 keypoints"
    if config.loss.landmark_guidance > 0:
        yield from _check_guidance(config)
    if not (are_numbers(scales) and scales and all(is_one_over_whole(scale) for scale in scales)):
        yield f"loss.scales={scales} is not a tuple of numbers that are 1 over a whole number, such as (1, 0.5, 0.25)"
        return
    if not (
        are_numbers(weights) and len(weights) == VGG_TAPS and all(weight >= 0 for weight in weights) and any(weights)
    ):
        yield f"loss.perceptual={weights} is not a tuple of {VGG_TAPS} weights, 0 or more each and one above 0"
        return
    if config.loss.background_mask > 0 and config.background.kind == "none" and config.model.num_keypoints < 2:
        yield "loss.background_mask needs 2 keypoints or a background predictor: without one the first is background"
    used = [tap for tap, weight in enumerate(weights) if weight > 0]
    size = int(config.model.image_size * min(scales))
    if used and size >> used[-1] < 1:
        yield (
            f"the smallest image of loss.scales={scales} has {size} px, too few for relu{used[-1] + 1}_1 of the VGG; "
            f"expected {2 ** used[-1]} or more: drop the smallest scale or set that weight of loss.perceptual to 0"
        )


def _check_guidance(config) -> Iterator[str]:
    if config.data.kind != "puppets":
        yield 'loss.landmark_guidance needs data.kind="puppets", whose joints are known'
    if config.model.num_keypoints != len(PARTS):
        yield f"loss.landmark_guidance needs model.num_keypoints={len(PARTS)}, one for each part of the body"
    if config.train.objective == "disentanglement":
        yield "loss.landmark_guidance trains a motion estimator, which train.objective=disentanglement leaves as it is"
    if any(config.augmentation[name] for name in ("horizontal_flip", "time_flip", "rotation_degrees")) or tuple(
        config.augmentation.resize_ratio
    ) != (1, 1):
        yield "loss.landmark_guidance needs frames as they are; switch flips, rotation and resizing off in augmentation"


def _check_optimizer(config) -> Iterator[str]:
    optimizer = config.optimizer
    for field in BELOW_ONE:
        if not 0 <= _get(config, field) < 1:
            yield f"{field}={_get(config, field)} is not in [0, 1)"
    if not 0 < optimizer.gamma <= 1:
        yield f"optimizer.gamma={optimizer.gamma} is not in (0, 1]"
    milestones = optimizer.milestones_epochs
    if not (
        are_numbers(milestones) and all(epoch > 0 for epoch in milestones) and list(milestones) == sorted(milestones)
    ):
        yield f"optimizer.milestones_epochs={milestones} is not a rising tuple of epochs above 0"


def _check_augmentation(config) -> Iterator[str]:
    try:
        Augmentation(**config.augmentation)
    except UserError as error:
        yield str(error)


def _check_files(config) -> Iterator[str]:
    data, weights = config.data, config.perceptual
    if data.kind == "folder":
        if not data.folder:
            yield "data.folder is empty; pass --config.data.folder=DIR: a prepared dataset, or train/ and test/"
        elif not Path(data.folder).is_dir():
            yield f"no folder data.folder={data.folder}; expected a prepared dataset, or train/ and test/ of videos"
    if weights.weights == "imagenet" and weights.path and not Path(weights.path).is_file():
        yield f"no file perceptual.path={weights.path}; expected torchvision's vgg19 weights"


def _check_start(config) -> Iterator[str]:
    train = config.train
    if train.objective == "disentanglement" and not train.init_from:
        yield "train.objective=disentanglement needs a trained MRAA; pass --config.train.init_from=RUN"
    frozen = config.optimizer.learning_rate_motion_estimator == 0 and train.objective == "reconstruction"
    if frozen and not train.init_from:
        yield "optimizer.learning_rate_motion_estimator=0 needs a trained estimator; pass --config.train.init_from=RUN"
    if train.init_from and not run_folder(train.init_from).is_dir():
        yield f"no folder train.init_from={train.init_from}; expected that of a training run, what it had as --workdir"
    if train.backbone_path and not Path(train.backbone_path).is_file():
        yield f"no file train.backbone_path={train.backbone_path}; expected HRNet's ImageNet weights (.pth)"


def _get(config, field):
    for name in field.split("."):
        config = config[name]
    return config
