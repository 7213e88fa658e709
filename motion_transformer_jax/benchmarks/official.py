"""The official PyTorch code as a peer: a process that runs it with our weights, and idles while ours runs.

Expected is a checkout of https://github.com/JialeTao/MTIA; nothing of it is in this project.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.benchmarks.official_process import Setup, serve
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.state_dict import state_dicts_from_variables

# Our config's name -> the official configuration of the same experiment.
_CONFIGURATIONS = {
    "vox256": "voxceleb1.yaml",
    "taichi256": "taichi256.yaml",
    "ted384": "ted384.yaml",
    "mgif256": "mgif256.yaml",
}
_LIBRARIES = {"torch": "torch", "einops": "einops", "imageio": "imageio"}  # module -> package


@dataclasses.dataclass(frozen=True)
class Peer:
    """The official code and how it runs.

    Attributes:
      checkout: its folder.
      compiled: its networks go through `torch.compile`; else they run as they are, operation by operation.
    """

    checkout: Path
    compiled: bool = False


def prepare_peer(config: ConfigDict, peer: Peer | None) -> None:
    """Looks whether there can be a peer; to be called before JAX uses a device.

    Args:
      config, peer: as for `official_peer`.

    Raises:
      UserError: there is no official counterpart of the config, no checkout, or a library is missing.
    """
    if peer is None:
        return
    # Otherwise JAX takes most of a GPU's memory at once, and little is left for a peer beside it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if config.name not in _CONFIGURATIONS or config.model.estimator != "motion_transformer":
        raise UserError(
            f"the official code has no counterpart of config {config.name}; "
            f"expected the motion transformer of {', '.join(_CONFIGURATIONS)} without variants, or no --peer"
        )
    if config.animate.adapt_scale or config.loss.adversarial > 0:
        raise UserError("with --peer leave animate.adapt_scale=False and loss.adversarial=0, as the official code has")
    if not _configuration(config, peer).is_file():
        raise UserError(
            f"no file {_configuration(config, peer)}; --peer expects a checkout of https://github.com/JialeTao/MTIA"
        )
    missing = [package for module, package in _LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise UserError(f"the official code needs {', '.join(missing)}; pip install {' '.join(missing)}")


@contextlib.contextmanager
def official_peer(
    config: ConfigDict, peer: Peer | None, variables: dict, inputs: Mapping[str, np.ndarray]
) -> Iterator[Callable[..., Any] | None]:
    """Starts the official code; a process of its own, so that memory and its allocator's settings are its own.

    Args:
      config: an experiment's.
      peer: None gives none.
      variables: our weights, which it gets.
      inputs: {"source"} to animate, or the training batch {"source", "driving"}; uint8.

    Yields:
      A function of a method's name and its arguments, of `AnimationPeer` or `TrainingPeer` in `official_process.py`,
      that waits for the result.

    Raises:
      UserError: its networks do not take these weights.
    """
    if peer is None:
        del variables  # memory, which is measured
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        _save_weights(weights, config, variables)
        del variables
        setup = Setup(
            checkout=peer.checkout.resolve(),
            configuration=_configuration(config, peer),
            weights=weights,
            inputs=dict(inputs),
            relative=config.animate.mode == "relative",
            compiled=peer.compiled,
        )
        with _process(setup) as call:
            yield call


def _configuration(config: ConfigDict, peer: Peer) -> Path:
    return peer.checkout.resolve() / "config" / _CONFIGURATIONS[config.name]


def _save_weights(path: Path, config: ConfigDict, variables: dict) -> None:
    state_dicts = state_dicts_from_variables(variables, official_constants(config, variables))
    arrays = {f"{module}/{key}": array for module, tensors in state_dicts.items() for key, array in tensors.items()}
    np.savez(path, **arrays)


@contextlib.contextmanager
def _process(setup: Setup) -> Iterator[Callable[..., Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, setup), daemon=True)
    process.start()
    theirs.close()

    def receive() -> Any:
        try:
            done, value = ours.recv()
        except EOFError:
            raise RuntimeError("the official code failed; its traceback stands above") from None
        if not done:
            raise UserError(value)
        return value

    def call(method: str, *arguments: Any) -> Any:
        ours.send((method, arguments))
        return receive()

    try:
        receive()  # ready
        yield call
    finally:
        ours.close()
        process.terminate()  # it may be in the middle of a stretch
        process.join()
