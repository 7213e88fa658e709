"""Reading PyTorch's `.pth` files without executing anything that they hold."""

import pickle
import warnings
from pathlib import Path

import numpy as np

from motion_transformer_jax.errors import UserError


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` file that holds one state dict, key -> array.

    Raises:
        UserError: there is no such file, it is no state dict, it needs code to be executed, or PyTorch is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}; expected a PyTorch state dict (.pth)")
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"reading {path} needs PyTorch; install it with: pip install 'motion_transformer_jax[torch]'"
        ) from error
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch warns about foreign pickles before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a readable PyTorch state dict; expected tensors only, no pickled code"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} holds more than one state dict; expected a dict of tensors alone")
    return {key: value.numpy() for key, value in content.items()}
