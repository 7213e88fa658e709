"""Random weights of a whole model, drawn without compiling anything: speed does not hang on their values."""

import functools
import math
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.training.state import create_variables


def random_variables(config: ConfigDict, seed: int = 0) -> dict:
    """{"params": ..., "batch_stats": ...} of NumPy arrays, the discriminator's too where it is enabled."""
    return draw_variables(jax.eval_shape(functools.partial(create_variables, config), jax.random.key(0)), seed)


def draw_variables(shapes: Any, seed: int = 0) -> Any:
    """NumPy arrays of these shapes, {"params": ..., "batch_stats": ...}.

    Kernels keep the size of what passes through them, so that nothing overflows or vanishes.
    """
    rng = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name in ("scale", "var"):
            return np.ones(leaf.shape, leaf.dtype)
        drawn = rng.standard_normal(leaf.shape, np.float32).astype(leaf.dtype)
        return drawn / math.sqrt(math.prod(leaf.shape[:-1])) if name == "kernel" else 0.1 * drawn

    return jax.tree_util.tree_map_with_path(draw, shapes)
