"""Find sizes in a config that a network cannot have: layers that halve an image need one that divides."""

from collections.abc import Iterable, Iterator

from ml_collections import ConfigDict


def check_sizes(config: ConfigDict) -> Iterator[str]:
    """Every problem found, one line each; the config's single values must have been checked before."""
    size = config.model.image_size
    if config.model.estimator == "motion_transformer":
        yield from _check_transformer(config)
    else:
        yield from _check_hourglass(config, config.model.estimator)
    yield from _check_hourglass(config, "dense_motion")
    if size % 2**config.generator.num_down_blocks:
        step = 2**config.generator.num_down_blocks
        reason = f"2**generator.num_down_blocks={config.generator.num_down_blocks}"
        yield f"model.image_size={size} is not a multiple of {step} ({reason}); take {_nearest(size, step)}"
    if config.background.kind not in ("none", "zero") and size < 2**config.background.num_blocks:
        yield f"model.image_size={size} is too small for background.num_blocks={config.background.num_blocks} halvings"
    if config.discriminator.enabled:
        yield from _check_discriminator(config)


def _check_transformer(config) -> Iterator[str]:
    size, transformer = config.model.image_size, config.transformer
    if not is_one_over_whole(transformer.scale):
        yield _not_one_over_whole("transformer", transformer.scale)
        return
    shrinkage = round(1 / transformer.scale)
    steps = {f"4 * transformer.patch_size={transformer.patch_size}, an image token's side": 4 * transformer.patch_size}
    if transformer.backbone.startswith("hrnet"):
        steps[f"the {transformer.backbone} backbone's coarsest branch"] = 32
    for reason, cells in steps.items():
        step = cells * shrinkage
        reason += f", over transformer.scale={transformer.scale}" if shrinkage > 1 else ""
        if size % step:
            yield f"model.image_size={size} is not a multiple of {step} ({reason}); take {_nearest(size, step)}"
    tokens = (size // (4 * transformer.patch_size * shrinkage)) ** 2
    borrows_tokens = transformer.backbone == "stem" and transformer.position == "none"
    if borrows_tokens and tokens < 2 * config.model.num_keypoints:
        yield (
            f"a stem without position encoding takes its motion tokens from the {tokens} image tokens; "
            f"expected at least {2 * config.model.num_keypoints} (2 * model.num_keypoints): take a smaller patch_size"
        )
    if transformer.dim % transformer.heads:
        yield f"transformer.dim={transformer.dim} is not divisible by transformer.heads={transformer.heads}"
    if transformer.position.startswith("sine") and transformer.dim % 4:
        yield f"transformer.dim={transformer.dim} is not divisible by 4, as transformer.position needs it"


def _check_hourglass(config, name: str) -> Iterator[str]:
    """`name`: the config's group of a network that sees a smaller image."""
    group, size = config[name], config.model.image_size
    if not is_one_over_whole(group.scale):
        yield _not_one_over_whole(name, group.scale)
    seen, step = size * group.scale, 2**group.num_blocks
    if not (0 < group.scale <= 1 and seen % step == 0):
        yield (
            f"model.image_size={size} times {name}.scale={group.scale} is {seen:g}; "
            f"expected a multiple of {step} (2**{name}.num_blocks)"
        )
    if name != "dense_motion":
        if group.temperature <= 0:
            yield f"{name}.temperature={group.temperature} is out of range; expected more than 0"
        if seen + 2 * group.padding < 7:
            yield f"{name} sees {seen:g} px, too few for its 7x7 heads; raise {name}.scale or {name}.padding"


def _check_discriminator(config) -> Iterator[str]:
    group, weights = config.discriminator, config.loss.feature_matching
    if not (are_numbers(group.scales) and group.scales and all(is_one_over_whole(scale) for scale in group.scales)):
        yield f"discriminator.scales={group.scales} is not a tuple of numbers that are 1 over a whole number"
        return
    if not (are_numbers(weights) and len(weights) == group.num_blocks and all(weight >= 0 for weight in weights)):
        yield f"loss.feature_matching={weights} is not a tuple of discriminator.num_blocks={group.num_blocks} weights"
    left = int(config.model.image_size * min(group.scales))
    for block in range(group.num_blocks):
        left -= 3
        left = left // 2 if block < group.num_blocks - 1 else left
    if left < 1:
        yield (
            f"discriminator.num_blocks={group.num_blocks} leave nothing of an image of "
            f"{int(config.model.image_size * min(group.scales))} px; take fewer"
        )


def is_one_over_whole(scale: float) -> bool:
    """Whether images can be shrunk by this scale: 1, 1/2, 1/3, ..."""
    return 0 < scale <= 1 and abs(round(1 / scale) * scale - 1) < 1e-6


def are_numbers(values: Iterable) -> bool:
    """Whether all are numbers, which True and False are not."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _not_one_over_whole(name: str, scale: float) -> str:
    return f"{name}.scale={scale} is not 1 over a whole number; take 1, 0.5, 0.25 or 0.125"


def _nearest(size: int, step: int) -> str:
    below = size // step * step
    return f"{below} or {below + step}" if below else f"{step}"
