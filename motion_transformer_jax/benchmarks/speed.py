"""Figures that animation and training share: rates of ours and of a peer, measured in turn with a matrix product."""

import dataclasses
from collections.abc import Callable

import jax

from motion_transformer_jax.benchmarks.compile_clock import Compilation
from motion_transformer_jax.benchmarks.machine import create_matrix_products
from motion_transformer_jax.benchmarks.timing import Timing, time_in_turn

_OURS, _PEER, _PRODUCT = "ours", "peer", "matrix product"


@dataclasses.dataclass(frozen=True)
class Rate:
    """Things done in a second, over the repeats.

    Attributes:
      median, lowest, highest: of the repeats' rates.
    """

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, timing: Timing, count: float) -> "Rate":
        """The rate of doing `count` things in those times."""
        return cls(count / timing.median, count / timing.highest, count / timing.lowest)


@dataclasses.dataclass(frozen=True)
class Side:
    """One contestant.

    Attributes:
      rate: units a second.
      peak_memory_mib: of its process or, on an accelerator, of its device.
    """

    rate: Rate
    peak_memory_mib: float


@dataclasses.dataclass(frozen=True)
class Difference:
    """Between two videos, in levels of 255.

    Attributes:
      largest, mean: absolute, over all numbers of all frames.
    """

    largest: int
    mean: float


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a config's networks are.

    Attributes:
      unit: "frames" or "pairs".
      config: its name.
      image_size: pixels along a side.
      batch_size: units in a batch.
      dtype: of our convolutions and matrix products; the peer's are float32. Each side has its library's default
        precision, which on some GPUs is lower within products.
      num_devices, device_kind: what ours ran on.
      ours: our side.
      compilation: seconds of making our programs, which the rates leave out.
      stages: seconds of a frame by how much is done for it, or of a step.
      multiply_adds: of one unit: what the algorithm asks for, whichever way its convolutions are computed. Of layers
        and attention; resizing left out.
      matrix_product_rate: multiply-adds a second of a large matrix product on one device, between the repeats.
      peer: the official code's side.
      difference: of the frames of both.
      profile: folder of the trace.
    """

    unit: str
    config: str
    image_size: int
    batch_size: int
    dtype: str
    num_devices: int
    device_kind: str
    ours: Side
    compilation: Compilation
    stages: dict[str, float]
    multiply_adds: int
    matrix_product_rate: float
    peer: Side | None = None
    difference: Difference | None = None
    profile: str | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is, by the medians."""
        return self.peer and self.ours.rate.median / self.peer.rate.median

    @property
    def multiply_adds_per_second(self) -> float:
        """Ours, on all devices together."""
        return self.multiply_adds * self.ours.rate.median

    @property
    def share(self) -> float:
        """Of the matrix product's rate; above 1 is possible where convolutions save multiplications."""
        return self.multiply_adds_per_second / self.matrix_product_rate / self.num_devices

    def to_dict(self) -> dict:
        """All figures, derived ones too."""
        derived = {name: getattr(self, name) for name in ("ratio", "multiply_adds_per_second", "share")}
        return dataclasses.asdict(self) | derived


@dataclasses.dataclass(frozen=True)
class Measured:
    """Times of one stretch.

    Attributes:
      ours, peer: by the clock; peer is None without one.
      matrix_product_rate: as in Speed.
    """

    ours: Timing
    peer: Timing | None
    matrix_product_rate: float


def measure_in_turn(
    ours: Callable[[], object], peer: Callable[[], object] | None, *, dtype: str, repeats: int
) -> Measured:
    """Times stretches: ours, the peer's, matrix products, and again; one of each goes untimed before.

    Args:
      ours: a stretch, compiled.
      peer: the same by the peer, or None.
      dtype: of the matrix products.
      repeats: timed stretches of each.
    """
    products = create_matrix_products(dtype)
    calls = {_OURS: ours, _PEER: peer, _PRODUCT: products.call}
    times = time_in_turn({name: call for name, call in calls.items() if call}, repeats=repeats, warm_up=1)
    return Measured(times[_OURS], times.get(_PEER), products.multiply_adds / times[_PRODUCT].median)


def profiled(call: Callable[[], object], folder: str | None) -> str | None:
    """Runs the call once more under JAX's profiler, where a folder is given; returns the folder."""
    if folder:
        with jax.profiler.trace(folder):
            call()
    return folder
