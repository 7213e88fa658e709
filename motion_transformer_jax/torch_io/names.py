"""Where every parameter of the model stands in the official PyTorch code's state dicts.

PyTorch's words (`jacobian`, `kp_detector`, `weight`, `running_var`) appear in this folder alone. A rule rewrites the
path of one of our layers; leaves are renamed and transposed by kind.
"""

import re

import jax
import numpy as np
from flax import traverse_util

# Part of our tree -> (state dict of the official checkpoint, prefix of its keys), by the system's motion estimator.
_SHARED_PARTS = {
    "generator": ("generator", ""),
    "background_predictor": ("bg_predictor", ""),
    "disentangler": ("avd_network", ""),
    "discriminator": ("discriminator", ""),
}
_FOMM_PARTS = _SHARED_PARTS | {
    "motion_estimator": ("kp_detector", ""),
    "dense_motion": ("generator", "dense_motion_network."),
}
PARTS = {
    "motion_transformer": _FOMM_PARTS,
    "keypoint_detector": _FOMM_PARTS,
    "region_predictor": _SHARED_PARTS
    | {
        "motion_estimator": ("region_predictor", ""),
        "dense_motion": ("generator", "pixelwise_flow_predictor."),
    },
}

# All state dicts of the three systems' official checkpoints.
STATE_DICTS = tuple(sorted({state_dict for parts in PARTS.values() for state_dict, _ in parts.values()}))

_BLOCK_RULES = [
    (r"hourglass/up_(\d+)", r"hourglass/decoder/up_blocks/\1"),
    (r"bottleneck_(\d+)/(conv|norm)(\d)", r"bottleneck/r\1/\2\3"),
    (r"(down|up)_(\d+)", r"\1_blocks/\2"),
]

_RULES = {
    "generator": _BLOCK_RULES,
    "dense_motion": _BLOCK_RULES,
    "background_predictor": [*_BLOCK_RULES, (r"^head$", "fc")],
    "discriminator": [
        (r"^scale_([^/]+)/block_(\d+)_(conv|norm)", r"discs/\1/down_blocks/\2/\3"),
        (r"^scale_([^/]+)/head", r"discs/\1/conv"),
    ],
    # Positions in the official sequences: linear layer, norm and ReLU make three.
    "disentangler": [
        (r"^identity_encoder", "id_encoder"),
        (r"dense_(\d)", lambda match: str(3 * int(match[1]))),
        (r"norm_(\d)", lambda match: str(3 * int(match[1]) + 1)),
    ],
}

_DETECTOR_RULES = [
    *_BLOCK_RULES,
    (r"^hourglass", "predictor"),
    (r"^keypoints$", "kp"),
    (r"^affine/conv$", "jacobian"),
]

_TRANSFORMER_RULES = [
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

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "u": "weight_u",
    "v": "weight_v",
}
_TOKENS = {"motion_tokens": "keypoint_token", "position": "pos_embedding"}


def estimator_of(variables: dict) -> str:
    """Which motion estimator a tree {"params": ...} holds, as `config.model.estimator` names it."""
    layers = variables["params"].get("motion_estimator", ())
    if "regions" in layers:
        return "region_predictor"
    return "keypoint_detector" if "keypoints" in layers else "motion_transformer"


def torch_names(variables: dict) -> dict[tuple[str, ...], tuple[str, str]]:
    """For every leaf of {"params": ..., "batch_stats": ...}: its path -> (official state dict, key)."""
    paths, estimator = list(traverse_util.flatten_dict(variables)), estimator_of(variables)
    spectral = {path[1:-1] for path in paths if path[-1] == "u"}  # layers whose kernels are normalised
    inside = {path[2:4] for path in paths if path[1] == "motion_estimator"}
    stem_only = ("backbone", "conv1") in inside
    several_stacks = any(path[0] == "transformer" and path[1].startswith("stack_1_") for path in inside)

    def name(path: tuple[str, ...]) -> tuple[str, str]:
        state_dict, prefix = PARTS[estimator][path[1]]
        part, *layers, leaf = path[1:]
        if part == "motion_estimator" and estimator == "motion_transformer":
            key = _transformer_key(layers, leaf, stem_only=stem_only, several_stacks=several_stacks)
        else:
            layer = _rewrite("/".join(layers), _DETECTOR_RULES if part == "motion_estimator" else _RULES[part])
            normalised = leaf == "kernel" and path[1:-1] in spectral
            key = f"{layer}.{_LEAVES[leaf]}{'_orig' if normalised else ''}"
        return state_dict, f"{prefix}{key}".replace("/", ".")

    return {path: name(path) for path in paths}


def _transformer_key(layers: list[str], leaf: str, *, stem_only: bool, several_stacks: bool) -> str:
    if leaf in _TOKENS:
        name, leaf = "transformer", _TOKENS[leaf]
    else:
        name, leaf = _rewrite("/".join(layers), _TRANSFORMER_RULES), _LEAVES[leaf]
    name = re.sub(r"stack_(\d)", lambda m: f"transformer{int(m[1]) + 1 if several_stacks else ''}", name)
    if stem_only:
        name = re.sub(r"^(pre_feature|transformer)", "features", name)
    return f"{name}.{leaf}"


def _rewrite(name: str, rules: list) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


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
