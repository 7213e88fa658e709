"""Checksums of saved arrays: storage that flips a bit is found out when the checkpoint is read, not in the pictures."""

import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def tree_checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of each array's bytes by its path, such as "params/generator/first/conv/kernel".

    Args:
      tree: arrays that are replicated over their devices; attributes, keys and indices name paths alike.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    arrays = jax.device_get([array for _, array in leaves])
    return {path: zlib.crc32(np.ascontiguousarray(x)) for path, x in zip(paths, arrays, strict=True)}


def damaged_arrays(tree: Any, saved: Mapping[str, int]) -> list[str]:
    """Paths of the tree's arrays that are not those of which `saved` was made; `saved` may have others beside."""
    return [path for path, checksum in tree_checksums(tree).items() if saved.get(path) != checksum]
