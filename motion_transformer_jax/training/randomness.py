"""Random keys: none is stored; each is folded from the seed, a stream's name, the step and the example.

A resumed run therefore draws the same numbers, and so does a run on another number of devices.
"""

import zlib

import jax
import jax.numpy as jnp


def example_keys(seed: int, stream: str, step: jax.Array | int, count: int, axis_name: str | None) -> jax.Array:
    """One key for each of this device's examples; to be called inside a function mapped over `axis_name`.

    Args:
        seed: the config's.
        stream: what the numbers are for; streams are independent.
        step: int32 [].
        count: examples on this device.
        axis_name: the mapped axis; None where nothing is mapped: the examples are then all there are.

    Returns:
        Keys [count]; example i of the global batch has the same key on any number of devices.
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    key = jax.random.fold_in(key, step)
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * count
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))
