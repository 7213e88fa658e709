"""Files of PyTorch tensors, `.pth`, `.pth.tar` and `.safetensors`: read without executing anything, and written."""

import dataclasses
import mmap
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.archives import is_packed
from motion_transformer_jax.errors import UserError, install_hint
from motion_transformer_jax.torch_io.names import STATE_DICTS

# `.pth.tar` is written in the format of PyTorch before 1.6, which every PyTorch reads; `.pth` as a zip file.
SUFFIXES = (".pth", ".pth.tar", ".safetensors")
# NumPy itself has no such type; with JAX it has.
_BFLOAT16 = np.dtype(jnp.bfloat16)
_ZIP_SIGNATURE = b"PK\x03\x04"
# Of the calls that PyTorch lets a pickle make, the one that fills as much memory as it is told to.
_RESERVING_CALL = b"bytearray"

StateDict = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TorchFile:
    """What a file holds.

    Attributes:
        state_dicts: name, such as "generator", to its tensors by key; a file that is one state dict has it under "".
        others: name to what else there is, numbers and texts as they are, the rest in words:
            {"epoch": 99, "optimizer_generator": "optimizer state"}.
    """

    state_dicts: dict[str, StateDict]
    others: dict[str, int | float | str]


def read_torch_file(path: str | Path) -> TorchFile:
    """Everything in a file; `module.` in front of all keys of a state dict, from parallel training, is left out.

    Raises:
        UserError: there is no such file, it is damaged, it needs code to be executed, or PyTorch is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}; expected PyTorch weights ({', '.join(SUFFIXES)})")
    if path.name.endswith(".safetensors"):
        state_dicts, others = _read_safetensors(path)
    else:
        state_dicts, others = _sort(path, _load_pth(path))
    return TorchFile({name: _without_parallel_prefix(tensors) for name, tensors in state_dicts.items()}, others)


def read_state_dict(path: str | Path) -> StateDict:
    """The tensors of a file that holds one state dict, alone or under the name "state_dict".

    Raises:
        UserError: as `read_torch_file`, or the file holds something else.
    """
    file = read_torch_file(path)
    for name in ("", "state_dict"):
        if name in file.state_dicts:
            return file.state_dicts[name]
    raise UserError(f"{path} is not one state dict; expected a dict of tensors alone")


def write_torch_file(path: str | Path, state_dicts: Mapping[str, StateDict], others: Mapping[str, int | str]) -> None:
    """Writes state dicts, and beside them texts and, in `.pth` files, numbers; whole or not at all.

    Raises:
        UserError: the suffix is none of SUFFIXES, a library is missing, or the system refuses.
    """
    path = require_suffix(path)
    is_safetensors = path.name.endswith(".safetensors")
    write = _write_safetensors if is_safetensors else _write_pth
    (_import_safetensors if is_safetensors else _import_torch)(path)  # its complaint names this path
    with atomic_path(path) as temporary:
        try:
            write(temporary, state_dicts, others)
        except (OSError, RuntimeError) as error:  # PyTorch's writer turns the system's refusals into RuntimeError
            raise UserError(f"cannot write {path} ({_first_line(error)}); check the disk's space") from error


def require_suffix(path: str | Path) -> Path:
    """The path; a UserError if its suffix is none that is written."""
    if not Path(path).name.endswith(SUFFIXES):
        raise UserError(f"{path} has an unknown suffix; expected one of {', '.join(SUFFIXES)}")
    return Path(path)


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(f"{path} needs PyTorch; {install_hint('torch')}") from error
    return torch


def _load_pth(path: Path) -> dict:
    torch = _import_torch(path)
    try:
        _check_claims(path)
        with warnings.catch_warnings(action="ignore"):  # PyTorch warns about foreign pickles before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # damaged files raise nearly everything
        if name := re.search(r"GLOBAL (\S+)", str(error)):
            raise UserError(
                f"{path} asks to run or to import {name[1]}, which is refused; expected tensors only, no pickled code"
            ) from error
        raise UserError(
            f"{path} is not a readable PyTorch file: it is cut off, damaged or of another kind; "
            "expected tensors only, no pickled code"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; expected state dicts")
    return content


def _check_claims(path: Path) -> None:
    """Raises a UserError where PyTorch would take memory without bound for a small file."""
    with open(path, "rb") as file:
        if file.read(len(_ZIP_SIGNATURE)) == _ZIP_SIGNATURE and is_packed(file):
            raise UserError(f"{path} is compressed, as PyTorch's files never are; expected what torch.save wrote")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(_RESERVING_CALL) >= 0:
                raise UserError(
                    f"{path} asks for a {_RESERVING_CALL.decode()}, which is refused; expected tensors only"
                )


def _sort(path: Path, content: dict) -> tuple[dict[str, StateDict], dict[str, int | float | str]]:
    """A `.pth` file's entries into state dicts and others."""
    torch = _import_torch(path)

    def is_state_dict(value: Any) -> bool:
        return isinstance(value, dict) and all(
            isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in value.items()
        )

    if content and is_state_dict(content):
        return _split(_arrays(path, content)), {}
    state_dicts, others = {}, {}
    for name, value in content.items():
        if is_state_dict(value) and not str(name).startswith("optimizer"):
            state_dicts[str(name)] = _arrays(path, value)
        else:
            others[str(name)] = _describe(value)
    return state_dicts, others


def _describe(value: Any) -> int | float | str:
    if isinstance(value, dict) and "param_groups" in value:
        return "optimizer state"
    return value if isinstance(value, (int, float, str)) else type(value).__name__


def _arrays(path: Path, tensors: Mapping[str, Any]) -> StateDict:
    """Arrays of a state dict; a tensor may repeat a few numbers of the file as gigabytes, which are then refused."""
    num_bytes = path.stat().st_size
    for key, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > num_bytes:
            raise UserError(
                f"{path}: {key} claims {tensor.numel():,} numbers, more than the file holds; expected tensors"
            )
    return {key: _array(path, key, tensor.detach()) for key, tensor in tensors.items()}


def _array(path: Path, key: str, tensor: Any) -> np.ndarray:
    try:
        if str(tensor.dtype) == "torch.bfloat16":
            return tensor.view(_import_torch(path).int16).numpy().view(_BFLOAT16)
        return tensor.numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: {key} is of a kind that is not read ({tensor.dtype}, {tensor.layout})") from error


def _split(tensors: StateDict) -> dict[str, StateDict]:
    """Flat names such as "generator.first.conv.weight" to a state dict each; other keys are one state dict, ""."""
    if not all(key.split(".")[0] in STATE_DICTS and "." in key for key in tensors):
        return {"": tensors}
    state_dicts: dict[str, StateDict] = {}
    for name, array in tensors.items():
        module, key = name.split(".", 1)
        state_dicts.setdefault(module, {})[key] = array
    return state_dicts


def _without_parallel_prefix(tensors: StateDict) -> StateDict:
    if not all(key.startswith("module.") for key in tensors):
        return tensors
    return {key.removeprefix("module."): array for key, array in tensors.items()}


def _read_safetensors(path: Path) -> tuple[dict[str, StateDict], dict[str, int | float | str]]:
    safetensors = _import_safetensors(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not a readable .safetensors file ({_first_line(error)}); copy it again") from error
    # State dicts without tensors, such as the background predictor that predicts nothing, are named in the header.
    empty = {name: {} for name in metadata.get("state_dicts", "").split() if name in STATE_DICTS}
    return empty | _split(tensors), metadata


def _import_safetensors(path: Path) -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise UserError(f"{path} needs the library safetensors; {install_hint('torch')}") from error
    return safetensors


def _write_pth(path: Path, state_dicts: Mapping[str, StateDict], others: Mapping[str, int | str]) -> None:
    torch = _import_torch(path)
    content = {
        name: {key: torch.from_numpy(np.array(array)) for key, array in tensors.items()}
        for name, tensors in state_dicts.items()
    }
    torch.save(content | dict(others), path, _use_new_zipfile_serialization=not path.name.endswith(".tar"))


def _write_safetensors(path: Path, state_dicts: Mapping[str, StateDict], others: Mapping[str, int | str]) -> None:
    safetensors = _import_safetensors(path)
    tensors = {
        f"{name}.{key}": np.array(array, order="C") for name, part in state_dicts.items() for key, array in part.items()
    }
    texts = {name: text for name, text in others.items() if isinstance(text, str)}  # its header holds no numbers
    metadata = {"format": "pt", "state_dicts": " ".join(state_dicts)} | texts
    path.write_bytes(safetensors.numpy.save(tensors, metadata))  # its own writer lets nobody else read the file


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
