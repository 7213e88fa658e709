"""The sizes of each network, read off the shapes of its official state dict, as config fields."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from motion_transformer_jax.configs import base
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.backbone import HRNET_WIDTHS
from motion_transformer_jax.models.background import PREDICTED_ENTRIES
from motion_transformer_jax.models.token_transformer import sine_position_table
from motion_transformer_jax.torch_io.constants import TOLERANCE
from motion_transformer_jax.torch_io.names import PARTS

_BACKGROUND_KINDS = {len(entries): kind for kind, entries in PREDICTED_ENTRIES.items() if entries}


class TensorShapes:
    """Shapes of all tensors by state dict and key; a UserError for those that are looked for and are not there."""

    def __init__(self, state_dicts: Mapping[str, Mapping[str, np.ndarray]]):
        self.of = {module: {key: tuple(a.shape) for key, a in part.items()} for module, part in state_dicts.items()}
        self.arrays = state_dicts

    def has(self, module: str, key: str) -> bool:
        """Whether there is such a tensor."""
        return key in self.of.get(module, {})

    def size(self, module: str, key: str, axis: int = 0) -> int:
        """A tensor's size along an axis; raises UserError without such a tensor or axis."""
        if not self.has(module, key):
            raise UserError(f"the file has no {module}.{key}, which tells the model's size; is it a whole checkpoint?")
        shape = self.of[module][key]
        if not -len(shape) <= axis < len(shape) or shape[axis] < 1:
            raise UserError(f"{module}.{key} has the impossible shape {shape}; is it an official checkpoint?")
        return shape[axis]

    def count(self, module: str, pattern: str, start: int = 0) -> int:
        """How many of the keys pattern.format(start), pattern.format(start + 1), ... there are in a row."""
        count = 0
        while self.has(module, pattern.format(start + count)):
            count += 1
        return count


def transformer_fields(shapes: TensorShapes) -> dict[str, Any]:
    """Of the motion transformer in "kp_detector"."""
    module, is_stem = "kp_detector", shapes.has("kp_detector", "features.keypoint_token")
    backbone, tokens = ("features", "features") if is_stem else ("pre_feature", "transformer")
    _, num_tokens, dim = (shapes.size(module, f"{tokens}.keypoint_token", axis) for axis in range(3))
    stem_features = shapes.size(module, f"{backbone}.conv1.weight")
    width = 4 * stem_features if is_stem else shapes.size(module, f"{backbone}.stage2.0.branches.0.0.conv1.weight")
    if not is_stem and width not in HRNET_WIDTHS.values():
        raise UserError(f"the backbone is an HRNet of width {width}; expected {', '.join(HRNET_WIDTHS)}")
    stacks = shapes.count(module, tokens + ".transformer{}.layers.0.0.fn.norm.weight", start=1)
    layers = f"{tokens}.transformer{1 if stacks else ''}.layers"
    patch_size = math.isqrt(shapes.size(module, f"{tokens}.patch_to_embedding.weight", 1) // width) or 1
    scale = _scale(shapes, module, "down.weight")  # of our own models; the official ones have no such kernel
    token_px = round(4 * patch_size / scale)
    return {
        "model.num_keypoints": num_tokens // 2,
        "transformer.backbone": "stem" if is_stem else f"hrnet_w{width}",
        "transformer.scale": scale,
        "transformer.stem_features": stem_features,
        "transformer.patch_size": patch_size,
        "transformer.dim": dim,
        "transformer.depth": shapes.count(module, layers + ".{}.0.fn.norm.weight"),
        "transformer.stacks": max(stacks, 1),
        "transformer.mlp_ratio": shapes.size(module, f"{layers}.0.1.fn.fn.net.0.weight") // dim,
        **_position_fields(shapes, f"{tokens}.pos_embedding", f"{layers}.0.0.fn.fn.attn_mask", num_tokens, token_px),
    }


def _position_fields(shapes: TensorShapes, table: str, mask: str, num_tokens: int, token_px: int) -> dict[str, Any]:
    """Position encoding, and the image's size, which the number of image tokens tells."""
    module, is_masked = "kp_detector", shapes.has("kp_detector", mask)
    fields = {"transformer.position": "none", "transformer.image_attends_to_motion": not is_masked}
    image_tokens = shapes.size(module, mask, -1) - num_tokens if is_masked else None
    if shapes.has(module, table):
        learnable = _is_learnable(shapes.arrays[module][table], num_tokens)
        fields["transformer.position"] = "learnable" if learnable else "sine_every_layer"
        image_tokens = shapes.size(module, table, 1) - (num_tokens if learnable else 0)
    if image_tokens is not None:
        if not _is_square(image_tokens):
            raise UserError(f"there are {image_tokens} image tokens; expected a square number, for square images")
        fields["model.image_size"] = math.isqrt(image_tokens) * token_px
    return fields


def _is_learnable(table: np.ndarray, num_tokens: int) -> bool:
    """A learned position table has rows for the motion tokens too; a sine table has none."""
    rows = table.shape[1] if table.ndim == 3 else 0
    if _is_square(rows) and _is_square(rows - num_tokens):
        side = math.isqrt(rows)
        return not np.allclose(table[0], sine_position_table(side, side, table.shape[2]), rtol=0, atol=TOLERANCE)
    return not _is_square(rows)


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def detector_fields(shapes: TensorShapes, estimator: str) -> dict[str, Any]:
    """Of FOMM's keypoint detector or MRAA's region predictor."""
    is_fomm = estimator == "keypoint_detector"
    module, head = ("kp_detector", "kp") if is_fomm else ("region_predictor", "regions")
    num_keypoints = shapes.size(module, f"{head}.weight")
    fields = _hourglass(shapes, module, "predictor.", estimator) | {"scale": _scale(shapes, module, "down.weight")}
    if is_fomm:
        fields["shared_affine"] = num_keypoints > 1 and shapes.size(module, "jacobian.weight") == 4
    else:
        fields["affine"] = "regression" if shapes.has(module, "jacobian.weight") else "principal_axes"
    return {"model.num_keypoints": num_keypoints, **_in_group(estimator, fields)}


def dense_motion_fields(shapes: TensorShapes, estimator: str) -> dict[str, Any]:
    """Of the dense motion network inside "generator"."""
    module, prefix = PARTS[estimator]["dense_motion"]
    fields = _hourglass(shapes, module, f"{prefix}hourglass.", "dense_motion")
    return _in_group("dense_motion", fields | {"scale": _scale(shapes, module, f"{prefix}down.weight")})


def generator_fields(shapes: TensorShapes) -> dict[str, Any]:
    """Of the image generator."""
    features = shapes.size("generator", "first.conv.weight")
    num_blocks = shapes.count("generator", "down_blocks.{}.conv.weight")
    last = f"down_blocks.{num_blocks - 1}" if num_blocks else "first"
    fields = {
        "base_features": features,
        "max_features": _max_features(
            "generator", features, num_blocks, shapes.size("generator", f"{last}.conv.weight")
        ),
        "num_down_blocks": num_blocks,
        "num_bottleneck_blocks": shapes.count("generator", "bottleneck.r{}.conv1.weight"),
    }
    return _in_group("generator", fields)


def background_fields(shapes: TensorShapes) -> dict[str, Any]:
    """Of the background predictor, which may be missing, or have no tensors where it predicts nothing."""
    module = "bg_predictor"
    if not shapes.of.get(module):
        return {"background.kind": "zero" if module in shapes.of else "none"}
    outputs = shapes.size(module, "fc.weight")
    if outputs not in _BACKGROUND_KINDS:
        raise UserError(
            f"bg_predictor.fc predicts {outputs} numbers; expected one of {', '.join(map(str, _BACKGROUND_KINDS))}"
        )
    return {"background.kind": _BACKGROUND_KINDS[outputs]} | _in_group(
        "background", _encoder(shapes, module, "encoder.down_blocks.{}.conv.weight", "background")
    )


def discriminator_fields(shapes: TensorShapes) -> dict[str, Any]:
    """Of the multi-scale discriminator, which may be missing."""
    keys = shapes.of.get("discriminator", {})
    names = sorted({key.split(".")[1] for key in keys if key.startswith("discs.") and key.count(".") > 1})
    if not names:
        return {"discriminator.enabled": False}
    try:
        scales = sorted((float(name.replace("-", ".")) for name in names), reverse=True)
    except ValueError as error:
        raise UserError(f"discriminator.discs.{names[0]} names no scale; expected a number such as 1 or 0-5") from error
    spectral_norm = any(key.endswith(".weight_orig") for key in keys)
    pattern = f"discs.{names[0]}.down_blocks.{{}}.conv.weight{'_orig' if spectral_norm else ''}"
    fields = {
        "enabled": True,
        "scales": tuple(scales),
        "spectral_norm": spectral_norm,
        "use_keypoints": shapes.size("discriminator", pattern.format(0), 1) > 3,
        **_encoder(shapes, "discriminator", pattern, "discriminator"),
    }
    return _in_group("discriminator", fields)


def disentangler_fields(shapes: TensorShapes) -> dict[str, Any]:
    """Of MRAA's network for animation via disentanglement, which may be missing."""
    if not shapes.of.get("avd_network"):
        return {"disentangler.enabled": False}
    sizes = {
        f"{ours}_features": shapes.size("avd_network", f"{theirs}_encoder.9.weight")
        for ours, theirs in (("identity", "id"), ("pose", "pose"))
    }
    return _in_group("disentangler", {"enabled": True, **sizes})


def _hourglass(shapes: TensorShapes, module: str, prefix: str, group: str) -> dict[str, int]:
    encoder = prefix + "encoder.down_blocks.{}.conv.weight"
    num_blocks = shapes.count(module, encoder)
    top = shapes.size(module, encoder.format(max(num_blocks - 1, 0)))
    features = shapes.size(module, f"{prefix}decoder.up_blocks.{num_blocks - 1}.conv.weight")
    max_features = _max_features(group, features, num_blocks, top)
    return {"base_features": features, "max_features": max_features, "num_blocks": num_blocks}


def _encoder(shapes: TensorShapes, module: str, pattern: str, group: str) -> dict[str, int]:
    """Of down blocks alone; the first one doubles the base features, unless the limit cuts them."""
    num_blocks = shapes.count(module, pattern)
    features = -(-shapes.size(module, pattern.format(0)) // 2)
    max_features = _max_features(group, features, num_blocks, shapes.size(module, pattern.format(num_blocks - 1)))
    return {"base_features": features, "max_features": max_features, "num_blocks": num_blocks}


def _max_features(group: str, features: int, num_blocks: int, top: int) -> int:
    """The default limit where it gives the features of the top block, else those features."""
    default = base.get_config()[group].max_features
    return default if min(default, features * 2**num_blocks) == top else top


def _scale(shapes: TensorShapes, module: str, key: str) -> float:
    """Of an anti-alias kernel: its side is 4 (1/scale - 1) + 1; none at scale 1."""
    return 1 / ((shapes.size(module, key, -1) - 1) // 4 + 1) if shapes.has(module, key) else 1.0


def _in_group(group: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{group}.{name}": value for name, value in fields.items()}
