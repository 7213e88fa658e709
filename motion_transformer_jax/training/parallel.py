"""Data parallelism: one per-device function, mapped over a mesh of one axis.

`jax.jit` of `jax.shard_map` is what `jax.pmap` has been since JAX 0.8; written out, it says what crosses devices:
gradients, batch statistics and metrics, by `pmean` over the axis `data`, and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from motion_transformer_jax.ops.backend import compile_once

DATA_AXIS = "data"


def create_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A one-axis mesh over the given devices, or over all devices of all processes, one process behind the other.

    A process's rows of a batch therefore lie side by side; `jax.make_mesh` would order devices by their wiring.
    """
    devices = sorted(devices or jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def map_over_data(step: Callable, mesh: Mesh, *constants: Any, named: bool = False) -> Callable:
    """Maps `step(state, batch, *constants)` over the devices, as a function of state and batch by `compile_once`.

    The state and the constants are replicated, the batch's arrays are split along their first axis, and both results
    are replicated. The state's buffers are donated. `named` is that of `compile_once`.
    """

    def mapped(state, batch, *constants):
        specs = (P(), P(DATA_AXIS), *[P()] * len(constants))
        # Without replication checks `pmean` is its own transpose, as under pmap: gradients are averaged explicitly.
        function = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)
        return function(state, batch, *constants)

    return compile_once(mapped, constants=constants, named=named, donate_argnums=0)


def replicate(tree, mesh: Mesh):
    """The tree's arrays on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def abstract(create: Callable[[], Any], mesh: Mesh) -> Any:
    """Shapes of the tree that `create` makes, replicated over the mesh; nothing is computed."""
    sharding = NamedSharding(mesh, P())
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), jax.eval_shape(create))


def abstract_batch(example: Mapping[str, np.ndarray], size: int, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a global batch of `size` such examples, split as by `shard_batch`."""
    sharding = NamedSharding(mesh, P(DATA_AXIS))
    return {
        name: jax.ShapeDtypeStruct((size, *array.shape), array.dtype, sharding=sharding)
        for name, array in example.items()
    }


def shard_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's part of the global batch, split over its devices along the first axis."""
    sharding = NamedSharding(mesh, P(DATA_AXIS))
    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}
