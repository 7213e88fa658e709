"""Speed of the warp, beside PyTorch's `grid_sample` on the same numbers in the same run."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from motion_transformer_jax.benchmarks.timing import Timing, time_in_turn
from motion_transformer_jax.errors import UserError, install_hint
from motion_transformer_jax.ops.backend import jit_program
from motion_transformer_jax.ops.grid_sample import grid_sample

SHAPES = ((64, 256), (256, 64))  # side and channels of the generator's features where they are warped
_DISPLACEMENT = 0.1  # standard deviation of the flow, of a frame that is 2 wide
_OURS, _PEER = "ours", "PyTorch"


@dataclasses.dataclass(frozen=True)
class WarpSpeed:
    """Times of one shape.

    Attributes:
      size, channels: of the warped features, `[batch, size, size, channels]`.
      backward: whether the gradients of features and grid are computed too.
      ours, peer: the times; peer is PyTorch's.
      difference: greatest between the two results.
    """

    size: int
    channels: int
    backward: bool
    ours: Timing
    peer: Timing
    difference: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peer.median / self.ours.median


def measure_warps(*, batch_size: int, repeats: int) -> list[WarpSpeed]:
    """Times the warp of SHAPES by a smooth flow, zeros outside, as the generator samples.

    Args:
      batch_size: images.
      repeats: timed calls of each.

    Returns:
      Two for each shape: forward alone, and with gradients.

    Raises:
      UserError: PyTorch is not installed.
    """
    speeds = []
    for size, channels in SHAPES:
        inputs = _inputs(batch_size, size, channels)
        for backward in (False, True):
            calls = {_OURS: _create_ours(*inputs, backward), _PEER: _create_peer(*inputs, backward)}
            difference = _difference(*(call() for call in calls.values()))
            times = time_in_turn(calls, repeats=repeats)
            speeds.append(WarpSpeed(size, channels, backward, times[_OURS], times[_PEER], difference))
    return speeds


def _difference(ours: Sequence[jax.Array], peer: Sequence[Any]) -> float:
    """Greatest absolute difference; PyTorch's images have their channels first."""
    images, grid_gradient = peer[:2], peer[2:]
    arrays = [
        array.detach().cpu().numpy() for array in (*(image.permute(0, 2, 3, 1) for image in images), *grid_gradient)
    ]
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, arrays, strict=True))


def _inputs(batch_size: int, size: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features `[B, S, S, C]`, a grid `[B, S, S, 2]`, the identity and a flow that changes slowly, and a cotangent."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, _DISPLACEMENT, (batch_size, 8, 8, 2)).astype(np.float32)
    flow = np.asarray(jax.image.resize(coarse, (batch_size, size, size, 2), "linear"))
    places = np.linspace(-1, 1, size, dtype=np.float32)
    identity = np.stack(np.meshgrid(places, places), axis=-1)
    features, cotangent = rng.normal(size=(2, batch_size, size, size, channels)).astype(np.float32)
    return features, identity + flow, cotangent


def _create_ours(
    features: np.ndarray, grid: np.ndarray, cotangent: np.ndarray, backward: bool
) -> Callable[[], Sequence[jax.Array]]:
    """A call that gives the warped features, then the gradients by features and grid."""

    def warp(features: jax.Array, grid: jax.Array) -> jax.Array:
        return grid_sample(features, grid, padding_mode="zeros", align_corners=False)

    def with_gradients(features: jax.Array, grid: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, ...]:
        result, pull_back = jax.vjp(warp, features, grid)
        return result, *pull_back(cotangent)

    compiled = jit_program(with_gradients if backward else lambda features, grid, _: (warp(features, grid),))
    inputs = jax.device_put((features, grid, cotangent))
    return lambda: jax.block_until_ready(compiled(*inputs))


def _create_peer(
    features: np.ndarray, grid: np.ndarray, cotangent: np.ndarray, backward: bool
) -> Callable[[], Sequence[Any]]:
    """The same by PyTorch, on a GPU where JAX runs on one and PyTorch can."""
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"PyTorch, which the warp is measured beside, is not installed; {install_hint('torch')}"
        ) from error
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    images, cotangents = (
        torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2))).to(device)
        for array in (features, cotangent)
    )
    images.requires_grad_(backward)
    places = torch.from_numpy(grid).to(device).requires_grad_(backward)

    def call() -> Sequence[Any]:
        result = torch.nn.functional.grid_sample(images, places, align_corners=False)
        gradients = torch.autograd.grad(result, (images, places), cotangents) if backward else ()
        if on_gpu:
            torch.cuda.synchronize()
        return result, *gradients

    return call
