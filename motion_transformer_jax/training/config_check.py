"""Find a config's mistakes before anything is built or downloaded."""

from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.backbone import BACKBONES
from motion_transformer_jax.models.background import BACKGROUNDS
from motion_transformer_jax.models.token_transformer import POSITIONS

CHOICES = {
    "dtype": ("float32", "bfloat16"),
    "model.estimator": ("motion_transformer",),
    "transformer.backbone": BACKBONES,
    "transformer.position": POSITIONS,
    "background.kind": BACKGROUNDS,
    "perceptual.weights": ("imagenet", "random"),
    "data.kind": ("folder", "puppets"),
    "animate.mode": ("relative", "absolute"),
}
# Field: smallest value allowed.
AT_LEAST = {
    "seed": 0,
    "model.image_size": 1,
    "model.num_keypoints": 1,
    "transformer.stem_features": 1,
    "transformer.patch_size": 1,
    "transformer.token_std": 0,
    "transformer.dim": 1,
    "transformer.depth": 1,
    "transformer.heads": 1,
    "transformer.mlp_ratio": 1,
    "transformer.stacks": 1,
    "dense_motion.base_features": 1,
    "dense_motion.max_features": 1,
    "dense_motion.num_blocks": 1,
    "generator.base_features": 1,
    "generator.max_features": 1,
    "generator.num_down_blocks": 0,
    "generator.num_bottleneck_blocks": 0,
    "background.base_features": 1,
    "background.max_features": 1,
    "background.num_blocks": 1,
    "loss.equivariance_keypoints": 0,
    "loss.equivariance_affine": 0,
    "loss.background_mask": 0,
    "loss.mask_concentration": 0,
    "loss.warp_sigma_affine": 0,
    "loss.warp_sigma_tps": 0,
    "loss.warp_points": 2,
    "optimizer.learning_rate_motion_estimator": 0,
    "optimizer.learning_rate_generator": 0,
    "optimizer.learning_rate_background": 0,
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
BELOW_ONE = ("optimizer.b1", "optimizer.b2", "optimizer.ema_decay")  # and not negative
VGG_TAPS = 5  # relu1_1 ... relu5_1; each is taken after one more halving of the image


def validate_config(config: ConfigDict, *, device_count: int = 1, need_data: bool = True) -> None:
    """Check a training config as a whole.

    Args:
      config: the experiment's config.
      device_count: devices of all processes that share a batch.
      need_data: False leaves out whether `data.folder` and the VGG's file are there.

    Raises:
      UserError: one line with every problem found, separated by "; ".
    """
    problems = [*_check_values(config)]
    if not problems:  # what follows divides by the values above
        problems = [*_check_sizes(config), *_check_loss(config)]
    problems += _check_optimizer(config)
    if config.train.batch_size % device_count:
        problems.append(
            f"train.batch_size={config.train.batch_size} is not divisible by the {device_count} devices; "
            f"take a multiple of {device_count}"
        )
    if need_data:
        problems += _check_files(config)
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


def _check_sizes(config) -> Iterator[str]:
    size = config.model.image_size
    transformer, dense_motion = config.transformer, config.dense_motion
    steps = {
        f"4 * transformer.patch_size={transformer.patch_size}, an image token's side": 4 * transformer.patch_size,
        f"2**generator.num_down_blocks={config.generator.num_down_blocks}": 2**config.generator.num_down_blocks,
    }
    if transformer.backbone.startswith("hrnet"):
        steps[f"the {transformer.backbone} backbone's coarsest branch"] = 32
    for reason, step in steps.items():
        if size % step:
            yield f"model.image_size={size} is not a multiple of {step} ({reason}); take {_nearest(size, step)}"
    if not _is_one_over_whole(dense_motion.scale):
        yield f"dense_motion.scale={dense_motion.scale} is not 1 over a whole number; take 1, 0.5, 0.25 or 0.125"
    tokens = (size // (4 * transformer.patch_size)) ** 2
    borrows_tokens = transformer.backbone == "stem" and transformer.position == "none"
    if borrows_tokens and tokens < 2 * config.model.num_keypoints:
        yield (
            f"a stem without position encoding takes its motion tokens from the {tokens} image tokens; "
            f"expected at least {2 * config.model.num_keypoints} (2 * model.num_keypoints): take a smaller patch_size"
        )
    flow_size, step = size * dense_motion.scale, 2**dense_motion.num_blocks
    if not (0 < dense_motion.scale <= 1 and flow_size % step == 0):
        yield (
            f"model.image_size={size} times dense_motion.scale={dense_motion.scale} is {flow_size:g}; "
            f"expected a multiple of {step} (2**dense_motion.num_blocks)"
        )
    if config.background.kind not in ("none", "zero") and size < 2**config.background.num_blocks:
        yield f"model.image_size={size} is too small for background.num_blocks={config.background.num_blocks} halvings"
    if transformer.dim % transformer.heads:
        yield f"transformer.dim={transformer.dim} is not divisible by transformer.heads={transformer.heads}"
    if transformer.position.startswith("sine") and transformer.dim % 4:
        yield f"transformer.dim={transformer.dim} is not divisible by 4, as transformer.position needs it"


def _check_loss(config) -> Iterator[str]:
    scales, weights = config.loss.scales, config.loss.perceptual
    if not (_numbers(scales) and scales and all(_is_one_over_whole(scale) for scale in scales)):
        yield f"loss.scales={scales} is not a tuple of numbers that are 1 over a whole number, such as (1, 0.5, 0.25)"
        return
    if not (_numbers(weights) and len(weights) == VGG_TAPS and all(weight >= 0 for weight in weights) and any(weights)):
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


def _check_optimizer(config) -> Iterator[str]:
    optimizer = config.optimizer
    for field in BELOW_ONE:
        if not 0 <= _get(config, field) < 1:
            yield f"{field}={_get(config, field)} is not in [0, 1)"
    if not 0 < optimizer.gamma <= 1:
        yield f"optimizer.gamma={optimizer.gamma} is not in (0, 1]"
    milestones = optimizer.milestones_epochs
    if not (_numbers(milestones) and all(epoch > 0 for epoch in milestones) and list(milestones) == sorted(milestones)):
        yield f"optimizer.milestones_epochs={milestones} is not a rising tuple of epochs above 0"


def _check_files(config) -> Iterator[str]:
    data, weights = config.data, config.perceptual
    if data.kind == "folder":
        if not data.folder:
            yield "data.folder is empty; pass --config.data.folder=DIR with train/ and test/ of videos"
        elif not Path(data.folder).is_dir():
            yield f"no folder data.folder={data.folder}; expected one with train/ and test/ of videos"
    if weights.weights == "imagenet" and weights.path and not Path(weights.path).is_file():
        yield f"no file perceptual.path={weights.path}; expected torchvision's vgg19 weights"


def _get(config, field):
    for name in field.split("."):
        config = config[name]
    return config


def _is_one_over_whole(scale: float) -> bool:
    return 0 < scale <= 1 and abs(round(1 / scale) * scale - 1) < 1e-6


def _numbers(values) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _nearest(size: int, step: int) -> str:
    below = size // step * step
    return f"{below} or {below + step}" if below else f"{step}"
