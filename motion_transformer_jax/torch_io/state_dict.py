"""Official PyTorch state dicts, as NumPy arrays, to our variables."""

import re
from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.names import from_torch_layout, torch_names

# What the official modules store and we compute: counters, anti-alias kernels, the attention mask, the sine table.
_CONSTANTS = re.compile(r"(num_batches_tracked|down\.weight|attn_mask|pos_embedding)$")


def variables_from_state_dicts(state_dicts: Mapping[str, Mapping[str, np.ndarray]], template: dict) -> dict:
    """Fills a tree of the template's structure from official state dicts.

    Args:
        state_dicts: "kp_detector", "generator" and, where there is one, "bg_predictor", each key -> array.
        template: {"params": ..., "batch_stats": ...} of arrays or of `jax.ShapeDtypeStruct`.

    Returns:
        Variables with NumPy leaves.

    Raises:
        UserError: keys are missing, unexpected or of another shape; all are named.
    """
    flat = traverse_util.flatten_dict(template)
    names = torch_names(template)
    wanted = {name: path for path, name in names.items()}
    given = {(module, key) for module in {m for m, _ in wanted} for key in state_dicts.get(module, {})}
    missing = sorted(".".join(name) for name in wanted.keys() - given)
    unexpected = sorted(".".join(name) for name in given - wanted.keys() if not _CONSTANTS.search(name[1]))
    filled, misshapen = {}, []
    for name in wanted.keys() & given:
        path = wanted[name]
        array = from_torch_layout(path, np.asarray(state_dicts[name[0]][name[1]]))
        if array.shape != flat[path].shape:
            misshapen.append(f"{'.'.join(name)} has {array.shape}, expected {flat[path].shape}")
        filled[path] = array
    problems = [("missing", missing), ("unexpected", unexpected), ("misshapen", sorted(misshapen))]
    if any(keys for _, keys in problems):
        listing = "; ".join(f"{len(keys)} {kind}: {', '.join(keys[:5])}" for kind, keys in problems if keys)
        raise UserError(f"the weights do not fit this model ({listing}); check the config's model and variant")
    return traverse_util.unflatten_dict(filled)
