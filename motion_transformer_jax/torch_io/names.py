"""Where every parameter of the model stands in the official PyTorch code's state dicts.

PyTorch's words (`jacobian`, `kp_detector`, `weight`, `running_var`) appear in this folder alone. A rule rewrites the
path of one of our layers; leaves are renamed and transposed by kind.
"""

import re

import jax
import numpy as np
from flax import traverse_util

# Part of our tree -> (state dict of the official checkpoint, prefix of its keys).
PARTS = {
    "motion_estimator": ("kp_detector", ""),
    "dense_motion": ("generator", "dense_motion_network."),
    "generator": ("generator", ""),
    "background_predictor": ("bg_predictor", ""),
}

_BLOCK_RULES = [
    (r"hourglass/up_(\d+)", r"hourglass/decoder/up_blocks/\1"),
    (r"bottleneck_(\d+)/(conv|norm)(\d)", r"bottleneck/r\1/\2\3"),
    (r"(down|up)_(\d+)", r"\1_blocks/\2"),
    (r"^head$", "fc"),
]

_ESTIMATOR_RULES = [
    (r"^backbone/(stem/)?conv(\d)/conv", r"pre_feature/conv\2"),
    (r"^backbone/(stem/)?conv(\d)/norm", r"pre_feature/bn\2"),
    (r"^backbone/(stem/)?bottleneck_(\d+)", r"pre_feature/layer1/\2"),
    (r"^backbone/transition_1_0", "pre_feature/transition1/0"),
    (r"^backbone/transition_(\d)_(\d)", r"pre_feature/transition\1/\2/0"),
    (r"^backbone/(stage\d)_(\d)/branch_(\d)_(\d)", r"pre_feature/\1/\2/branches/\3/\4"),
    (r"^backbone/(stage\d)_(\d)/fuse_(0_[12]|1_2)/step_0", r"pre_feature/\1/\2/fuse_layers/\3"),
    (r"^backbone/(stage\d)_(\d)/fuse_(\d_\d)/step_(\d)", r"pre_feature/\1/\2/fuse_layers/\3/\4"),
    (r"fuse_layers/(\d)_(\d)", r"fuse_layers/\1/\2"),
    (r"block(\d)/conv", r"conv\1"),
    (r"block(\d)/norm", r"bn\1"),
    (r"shortcut/conv", "downsample/0"),
    (r"shortcut/norm", "downsample/1"),
    (r"(transition.*|fuse_layers.*)/conv$", r"\1/0"),
    (r"(transition.*|fuse_layers.*)/norm$", r"\1/1"),
    (r"^(keypoint|affine)_norm", r"transformer/\1_head/0"),
    (r"^(keypoint|affine)_head$", r"transformer/\1_head/1"),
    (r"keypoint_head", "mlp_head"),
    (r"affine_head", "mlp_head_jacobian"),
    (r"patch_embedding", "patch_to_embedding"),
    (r"stack_(\d)_layer_(\d+)/attention_norm", r"stack_\1/layers/\2/0/fn/norm"),
    (r"stack_(\d)_layer_(\d+)/attention/qkv", r"stack_\1/layers/\2/0/fn/fn/to_qkv"),
    (r"stack_(\d)_layer_(\d+)/attention/out", r"stack_\1/layers/\2/0/fn/fn/to_out/0"),
    (r"stack_(\d)_layer_(\d+)/mlp_norm", r"stack_\1/layers/\2/1/fn/norm"),
    (r"stack_(\d)_layer_(\d+)/mlp_in", r"stack_\1/layers/\2/1/fn/fn/net/0"),
    (r"stack_(\d)_layer_(\d+)/mlp_out", r"stack_\1/layers/\2/1/fn/fn/net/3"),
]

_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TOKENS = {"motion_tokens": "keypoint_token", "position": "pos_embedding"}


def torch_names(variables: dict) -> dict[tuple[str, ...], tuple[str, str]]:
    """For every leaf of {"params": ..., "batch_stats": ...}: its path -> (official state dict, key)."""
    paths = list(traverse_util.flatten_dict(variables))
    inside = {path[2:4] for path in paths if path[1] == "motion_estimator"}
    stem_only = ("backbone", "conv1") in inside
    several_stacks = any(path[0] == "transformer" and path[1].startswith("stack_1_") for path in inside)
    return {path: _torch_name(path[1:], stem_only=stem_only, several_stacks=several_stacks) for path in paths}


def _torch_name(path: tuple[str, ...], *, stem_only: bool, several_stacks: bool) -> tuple[str, str]:
    part, *layers, leaf = path
    state_dict, prefix = PARTS[part]
    if leaf in _TOKENS:
        layers, leaf = ["transformer"], _TOKENS[leaf]
    else:
        leaf = _LEAVES[leaf]
    name = "/".join(layers)
    for pattern, replacement in _ESTIMATOR_RULES if part == "motion_estimator" else _BLOCK_RULES:
        name = re.sub(pattern, replacement, name)
    if part == "motion_estimator":
        name = re.sub(r"stack_(\d)", lambda m: f"transformer{int(m[1]) + 1 if several_stacks else ''}", name)
        if stem_only:
            name = re.sub(r"^(pre_feature|transformer)", "features", name)
    return state_dict, f"{prefix}{name}.{leaf}".replace("/", ".")


def to_torch_layout(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """A leaf of ours in PyTorch's layout: HWIO to OIHW, [in, out] to [out, in], tokens with a leading 1."""
    if path[-1] == "kernel":
        return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return array[None] if path[-1] in _TOKENS else array


def from_torch_layout(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch_layout`."""
    if path[-1] == "kernel":
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return array[0] if path[-1] in _TOKENS else array


def torch_shape(path: tuple[str, ...], leaf: jax.ShapeDtypeStruct | jax.Array) -> tuple[int, ...]:
    """The shape that a leaf of ours has in PyTorch's layout."""
    return to_torch_layout(path, np.broadcast_to(np.float32(0), leaf.shape)).shape
