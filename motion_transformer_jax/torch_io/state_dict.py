"""Official PyTorch state dicts, as NumPy arrays, to our variables and back."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.constants import Name, differing_constants
from motion_transformer_jax.torch_io.names import from_torch_layout, to_torch_layout, torch_names, torch_shape

_SHOWN = 5  # names of each kind in a message


def variables_from_state_dicts(
    state_dicts: Mapping[str, Mapping[str, np.ndarray]],
    template: dict,
    constants: Mapping[Name, np.ndarray] = MappingProxyType({}),
) -> dict:
    """Fills a tree of the template's structure from official state dicts; all of their tensors are used.

    Args:
        state_dicts: such as "kp_detector" and "generator", each key -> array.
        template: {"params": ..., "batch_stats": ...} of arrays or of `jax.ShapeDtypeStruct`.
        constants: what official modules store beside the weights (`official_constants`); it may be missing.

    Returns:
        Variables with float32 NumPy leaves.

    Raises:
        UserError: tensors are missing, unexpected, of another shape or kind, or constants have other values; all are
            counted and the first ones are named.
    """
    paths = {name: path for path, name in torch_names(template).items()}
    leaves = traverse_util.flatten_dict(template)
    shapes = {name: torch_shape(path, leaves[path]) for name, path in paths.items()}
    known = shapes | {name: constant.shape for name, constant in constants.items()}
    given = {(module, key): np.asarray(a) for module, tensors in state_dicts.items() for key, a in tensors.items()}
    here = sorted(given.keys() & known.keys())
    fitting = {name: given[name] for name in here if given[name].shape == known[name]}
    problems = {
        "missing": [_text(name) for name in sorted(shapes.keys() - given.keys())],
        "unexpected": [_text(name) for name in sorted(given.keys() - known.keys())],
        "misshapen": [
            f"{_text(name)} has {given[name].shape}, expected {known[name]}" for name in here if name not in fitting
        ],
        "not of floating point": [
            f"{_text(name)} is {given[name].dtype}" for name in here if name in shapes and not is_float(given[name])
        ],
        "with other values than this config's": [_text(name) for name in differing_constants(fitting, constants)],
    }
    if any(problems.values()):
        listing = "; ".join(
            f"{len(found)} {kind}: {', '.join(found[:_SHOWN])}{', ...' if len(found) > _SHOWN else ''}"
            for kind, found in problems.items()
            if found
        )
        raise UserError(f"the weights do not fit this model ({listing}); check the config's model and variant")
    return traverse_util.unflatten_dict(
        {path: np.ascontiguousarray(from_torch_layout(path, _as_float32(given[name]))) for name, path in paths.items()}
    )


def state_dicts_from_variables(
    variables: dict, constants: Mapping[Name, np.ndarray] = MappingProxyType({})
) -> dict[str, dict[str, np.ndarray]]:
    """The inverse of `variables_from_state_dicts`, with the constants.

    Args:
        variables: {"params": ..., "batch_stats": ...}.
        constants: as there.

    Returns:
        State dict's name -> key -> array in PyTorch's layout, keys in their natural order.
    """
    leaves = traverse_util.flatten_dict(variables)
    tensors = {name: to_torch_layout(path, np.asarray(leaves[path])) for path, name in torch_names(variables).items()}
    state_dicts: dict[str, dict[str, np.ndarray]] = {}
    for (module, key), array in sorted((tensors | dict(constants)).items(), key=lambda item: _natural(item[0])):
        state_dicts.setdefault(module, {})[key] = array
    return state_dicts


def nonfinite_tensors(state_dicts: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """Names of the tensors that hold NaN or infinity, as float32."""
    return [
        _text((module, key))
        for module, tensors in state_dicts.items()
        for key, array in tensors.items()
        if is_float(array) and not np.isfinite(_as_float32(array)).all()
    ]


def is_float(array: np.ndarray) -> bool:
    """Whether the array's numbers are of floating point, of any precision."""
    return jnp.issubdtype(array.dtype, jnp.floating)


def _as_float32(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # float64 numbers beyond its range become infinite, which is reported
        return array.astype(np.float32, copy=False)


def _text(name: Name) -> str:
    return ".".join(part for part in name if part)


def _natural(name: Name) -> list:
    """Sorts layer 2 before layer 10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in re.split(r"[./]", _text(name))]
