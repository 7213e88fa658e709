"""The rule by which the goldens' weights were made: every tensor from its official name and shape alone."""

import zlib

import jax
import numpy as np
from flax import traverse_util

from motion_transformer_jax.torch_io.names import torch_names, torch_shape
from motion_transformer_jax.torch_io.state_dict import variables_from_state_dicts

_TRAIN_GAINS = {
    "to_qkv.weight": 0.7,
    "kp_detector.kp.weight": 0.3,
    "region_predictor.regions.weight": 0.3,
    ".mask.weight": 1.0,
    ".occlusion.weight": 1.0,
    "generator.final.weight": 1.0,
}


def _gain(name: str, ndim: int, profile: str) -> float:
    if profile == "train":
        for suffix, gain in _TRAIN_GAINS.items():
            if name.endswith(suffix):
                return gain
    if name.startswith("kp_detector.features."):
        if name.endswith("to_qkv.weight"):
            return 2.35
        if ndim == 4:
            return 1.3
    if name.endswith(("to_qkv.weight", "mlp_head.1.weight")):
        return 1.4
    if ".bottleneck." in name:
        return 0.7
    if name.endswith((".mask.weight", ".occlusion.weight")) or name == "generator.final.weight":
        return 2.0
    if name in ("kp_detector.kp.weight", "region_predictor.regions.weight"):
        return 1.5
    prefixes = ("generator.", "kp_detector.predictor.", "region_predictor.", "bg_predictor.", "vgg.")
    return 1.2 if name.startswith(prefixes) else 0.7


def rule_tensor(name: str, shape: tuple[int, ...], profile: str = "eval") -> np.ndarray:
    """The float32 tensor that the goldens used under this official name."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    normal = rng.standard_normal
    if name.endswith("running_var"):
        tensor = rng.uniform(0.5, 1.5, size=shape)
    elif name.endswith("running_mean"):
        tensor = 0.1 * normal(shape)
    elif name.endswith("keypoint_token"):
        tensor = normal(shape)
    elif name.endswith("pos_embedding"):
        tensor = 0.5 * normal(shape)
    elif (
        name.endswith("mlp_head_jacobian.1.weight")
        or (name.endswith("jacobian.weight") and len(shape) == 4)
        or name == "bg_predictor.fc.weight"
    ):
        tensor = 0.01 * normal(shape)
    elif name.endswith(("mlp_head_jacobian.1.bias", ".jacobian.bias")):
        tensor = np.tile([1.0, 0.0, 0.0, 1.0], shape[0] // 4) + 0.05 * normal(shape)
    elif name == "bg_predictor.fc.bias":
        identity = {6: [1, 0, 0, 0, 1, 0], 8: [1, 0, 0, 0, 1, 0, 0, 0], 2: [0, 0]}[shape[0]]
        tensor = np.array(identity) + 0.05 * normal(shape)
    elif name.endswith(".bias"):
        tensor = 0.1 * normal(shape)
    elif len(shape) == 1:
        residual_end = ".branches." in name and name.endswith(".bn2.weight")
        residual_end |= ".layer1." in name and name.endswith(".bn3.weight")
        small = profile == "train" and ".pre_feature." in name and residual_end
        tensor = (0.3 if small else 1.0) * (1 + 0.1 * normal(shape))
    else:
        gain = _gain(name, len(shape), profile)
        tensor = normal(shape) * (np.sqrt(2.0 / int(np.prod(shape[1:]))) * gain)
        if len(shape) == 4:
            tensor = tensor - tensor.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(tensor).astype(np.float32)


def rule_variables(template: dict, profile: str = "eval", recorded: dict | None = None) -> dict:
    """Variables of the template's structure, made by the rule and loaded as official state dicts are.

    `recorded`: tensors, by their official keys, that the rule does not make (the vectors of spectral norms).
    """
    flat = traverse_util.flatten_dict(template)
    state_dicts: dict[str, dict[str, np.ndarray]] = {}
    for path, (module, key) in torch_names(template).items():
        shape = torch_shape(path, flat[path])
        tensor = (recorded or {}).get(key)
        made = rule_tensor(f"{module}.{key}", shape, profile) if tensor is None else tensor
        state_dicts.setdefault(module, {})[key] = made
    return variables_from_state_dicts(state_dicts, template)


def rule_part(part: str, template: dict, recorded: dict | None = None) -> dict:
    """`rule_variables` of one part alone, given and returned without its name."""
    named = rule_variables({collection: {part: tree} for collection, tree in template.items()}, recorded=recorded)
    return {collection: tree[part] for collection, tree in named.items()}


def abstract_variables(model, image_size: int) -> dict:
    """Shapes and types of a model's variables, without computing anything."""
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, x), image)
