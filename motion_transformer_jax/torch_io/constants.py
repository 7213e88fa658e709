"""What official modules keep in their state dicts beside the trained weights, and we compute from the config."""

import re
from collections.abc import Iterator, Mapping

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.models.token_transformer import HIDDEN_LOGIT, sine_position_table
from motion_transformer_jax.ops.resize import antialias_kernel
from motion_transformer_jax.torch_io.names import PARTS, torch_names

# Of kernels and tables that were computed by other versions of PyTorch or on a GPU.
TOLERANCE = 1e-4
# Stored by the official code and without effect: any value will do, and files may lack them.
_WITHOUT_EFFECT = ("num_batches_tracked", "keypoint_token")

Name = tuple[str, str]  # official state dict, key


def official_constants(config: ConfigDict, template: dict) -> dict[Name, np.ndarray]:
    """Every constant that the official modules of this config store.

    Args:
        config: an experiment's config.
        template: its {"params": ..., "batch_stats": ...}, arrays or `jax.ShapeDtypeStruct`.

    Returns:
        (state dict, key) to an array in PyTorch's layout and type.
    """
    names = torch_names(template)
    return {
        **{name: np.zeros((), np.int64) for name in _counters(names)},
        **{name: _antialias_weight(scale) for name, scale in _downsamplings(config)},
        **dict(_transformer_constants(config, names)),
    }


def differing_constants(given: Mapping[Name, np.ndarray], expected: Mapping[Name, np.ndarray]) -> list[Name]:
    """Names of constants that a file has with other values than ours, in order; what has no effect is passed over."""
    return sorted(
        name
        for name in given.keys() & expected.keys()
        if not name[1].endswith(_WITHOUT_EFFECT) and not _close(given[name], expected[name])
    )


def _close(given: np.ndarray, expected: np.ndarray) -> bool:
    precision = jnp.finfo(given.dtype).eps if jnp.issubdtype(given.dtype, jnp.floating) else 0
    return np.allclose(given, expected, rtol=0, atol=max(TOLERANCE, float(precision)))


def _counters(names: dict) -> Iterator[Name]:
    """Each batch norm counts its batches."""
    for module, key in names.values():
        if key.endswith(".running_mean"):
            yield module, key.replace("running_mean", "num_batches_tracked")


def _downsamplings(config: ConfigDict) -> Iterator[tuple[Name, float]]:
    """Names of the anti-alias kernels, and the scale that each is for."""
    parts, estimator = PARTS[config.model.estimator], config.model.estimator
    group = "transformer" if estimator == "motion_transformer" else estimator
    scales = {"dense_motion": config.dense_motion.scale, "motion_estimator": config[group].scale}
    for part, scale in scales.items():
        if scale != 1:
            module, prefix = parts[part]
            yield (module, f"{prefix}down.weight"), scale


def _antialias_weight(scale: float) -> np.ndarray:
    """[3, 1, k, k]: the same kernel for each colour."""
    return np.tile(antialias_kernel(round(1 / scale)), (3, 1, 1, 1))


def _transformer_constants(config: ConfigDict, names: dict) -> Iterator[tuple[Name, np.ndarray]]:
    if config.model.estimator != "motion_transformer":
        return
    transformer = config.transformer
    side = round(config.model.image_size * transformer.scale) // (4 * transformer.patch_size)
    motion_tokens = 2 * config.model.num_keypoints
    module = "features" if transformer.backbone == "stem" else "transformer"
    if transformer.position.startswith("sine"):
        yield ("kp_detector", f"{module}.pos_embedding"), sine_position_table(side, side, transformer.dim)[None]
    if ("kp_detector", f"{module}.keypoint_token") not in names.values():
        yield ("kp_detector", f"{module}.keypoint_token"), np.zeros((1, motion_tokens, transformer.dim), np.float32)
    if not transformer.image_attends_to_motion:
        mask = np.zeros((1, 1, motion_tokens + side**2, motion_tokens + side**2), np.float32)
        mask[..., motion_tokens:, :motion_tokens] = HIDDEN_LOGIT
        for _, key in names.values():
            if key.endswith("to_qkv.weight"):
                yield ("kp_detector", re.sub(r"to_qkv\.weight$", "attn_mask", key)), mask
