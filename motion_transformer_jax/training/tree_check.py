"""Saved arrays compared with those that a config makes, name by name."""

import os
from typing import Any

import jax
import numpy as np

from motion_transformer_jax.errors import UserError

_ADVICE = "the checkpoint is from another config: restore its config.json or choose another folder"


def check_tree(folder: str | os.PathLike, saved: Any, expected: Any, *, advice: str = _ADVICE) -> None:
    """Raise a UserError that names the first array in which the saved tree differs from the expected one.

    Args:
      folder: where the saved tree is from.
      saved, expected: trees of arrays, or of shapes.
      advice: what to do about it, the message's end.
    """
    saved, expected = _named_arrays(saved), _named_arrays(expected)
    for name, (shape, dtype) in expected.items():
        if name not in saved:
            raise UserError(f"{folder} has no {name}, which the config's model has; {advice}")
        if saved[name][0] != shape:
            raise UserError(f"{folder} has {name} of shape {saved[name][0]} but the config makes {shape}; {advice}")
        if saved[name][1] != dtype:  # Orbax would cast without a word.
            raise UserError(f"{folder} has {name} as {saved[name][1]} but the config makes {dtype}; {advice}")
    for name in saved:
        if name not in expected:
            raise UserError(f"{folder} has {name}, which the config's model lacks; {advice}")


def _named_arrays(tree: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (tuple(leaf.shape), np.dtype(leaf.dtype).name)
        for path, leaf in leaves
    }
