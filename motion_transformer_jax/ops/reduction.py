"""Sums over pixels or channels, pooling and their gradients, in forms that XLA's CPU backend turns into vector code.

Its own sum over all axes but the last runs one row of channels at a time, four to ten times slower, that over the last
axis one number at a time, and its gradient of max pooling searches every window through arrays of indices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.fusion import materialize

_MOST_PARTS, _MOST_CHANNEL_PARTS = 8, 12
_VECTOR = 16  # numbers
_SMALL, _JOINED = 1 << 14, 64  # numbers, and arrays at a time: code that joins hundreds takes a minute to compile


@jax.custom_vjp
def sum_pixels(x: jax.Array) -> jax.Array:
    """The sum over all axes but the last: [..., W, C] to [C], in steps, which also round less."""
    return lax.platform_dependent(x, cpu=lambda x: _sum_in_steps(_fold(x)), default=_sum_in_steps)


def _fold(x: jax.Array) -> jax.Array:
    """Parts of the rows of [..., H, W, C] summed: what makes them is computed on the way, and not written in full.

    Slices keep the axes: XLA's loops divide each index where a reshape was fused into them, and are not vectorised.
    """
    if x.ndim < 4:
        return x
    height = x.shape[-3]
    num_parts = max(n for n in range(1, _MOST_PARTS + 1) if height % n == 0)
    size = height // num_parts
    return materialize(sum(x[..., i * size : (i + 1) * size, :, :] for i in range(num_parts)))


def _sum_in_steps(x: jax.Array) -> jax.Array:
    *_, width, channels = x.shape
    return x.reshape(-1, width * channels).sum(0).reshape(width, channels).sum(0)


sum_pixels.defvjp(lambda x: (sum_pixels(x), x), lambda x, gradient: (jnp.broadcast_to(gradient, x.shape),))


def sum_channels(x: jax.Array) -> jax.Array:
    """The sum over the last axis, [..., C] to [...]."""

    def on_cpu(x: jax.Array) -> jax.Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return jnp.sum(fold_channels(wide, jnp.add), axis=-1).astype(x.dtype)

    return lax.platform_dependent(x, cpu=on_cpu, default=lambda x: jnp.sum(x, axis=-1))


def fold_channels(x: jax.Array, operation: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    """[..., C] to [..., C / n], n parts of the last axis taken together by a sum, a maximum or the like, for CPU.

    What makes x is computed on the way, and not written in full.
    """
    length = x.shape[-1]
    fitting = [n for n in range(2, _MOST_CHANNEL_PARTS + 1) if length % n == 0 and length // n >= _VECTOR]
    size = length // max(fitting, default=1)
    return materialize(functools.reduce(operation, [x[..., i : i + size] for i in range(0, length, size)]))


def tree_norm(tree: Any) -> jax.Array:
    """The Euclidean norm of all numbers of a tree of floating arrays, a scalar; without a gradient of its own.

    `optax.tree.norm` in another order: its squares of convolution kernels are written in full, and then summed by one
    thread for each kernel. Small arrays are joined first, as three loops for each take longer to compile than to run.
    """
    arrays = jax.tree.leaves(tree)
    small = [x.reshape(-1) for x in arrays if x.size <= _SMALL]
    joined = [materialize(jnp.concatenate(small[i : i + _JOINED])) for i in range(0, len(small), _JOINED)]
    return jnp.sqrt(sum(_sum_squares(x) for x in [*joined, *(x for x in arrays if x.size > _SMALL)]))


def _sum_squares(x: jax.Array) -> jax.Array:
    if x.ndim < 4:
        return jnp.sum(jnp.square(x))
    places = [(i, j) for i in range(x.shape[0]) for j in range(x.shape[1])]
    return jnp.sum(sum(jnp.square(x[place]) for place in places))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, num_constants: int = 0) -> jax.Array:
    """The greatest of each 2×2 pixels; a last odd row or column is left out. The gradient goes to the first of equals.

    Args:
      x: [B, H, W, C], floating.
      num_constants: how many images, the last ones, are constants: gradients flow through the others alone.

    Returns:
      [B, H // 2, W // 2, C] in the type of x.
    """
    return jnp.max(jnp.stack(_quarters(x)), axis=0)


def _max_pool_forward(x: jax.Array, num_constants: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    result, chosen = max_pool(x, num_constants), jnp.uint8(3)
    varying = len(x) - num_constants
    for i, quarter in reversed(list(enumerate(_quarters(x[:varying])[:3]))):
        chosen = jnp.where(quarter == result[:varying], jnp.uint8(i), chosen)
    return result, (x[:varying], materialize(chosen))  # of x only the shape is needed


def _max_pool_backward(num_constants: int, saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array]:
    x, chosen = saved
    quarters = [jnp.where(chosen == i, gradient[: len(x)], 0) for i in range(4)]
    return (followed_by_zeros(_join(quarters, x.shape), num_constants),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def followed_by_zeros(x: jax.Array, count: int) -> jax.Array:
    """[B, ...] to [B + count, ...]."""
    return jnp.pad(x, ((0, count),) + ((0, 0),) * (x.ndim - 1))


def average_pool(x: jax.Array) -> jax.Array:
    """The mean of each 2×2 pixels; a last odd row or column is left out: [B, H, W, C] to [B, H // 2, W // 2, C]."""
    top_left, top_right, bottom_left, bottom_right = _quarters(x)
    return ((top_left + top_right) + (bottom_left + bottom_right)) / 4


def _quarters(x: jax.Array) -> list[jax.Array]:
    """The pixels of each 2×2 at one place, row by row."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:height:2, j:width:2] for i in range(2) for j in range(2)]


def _join(quarters: list[jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """The inverse of `_quarters`, zeros where there were none."""
    batch, height, width, channels = shape
    rows = [jnp.stack(quarters[i : i + 2], axis=3) for i in (0, 2)]
    whole = jnp.stack(rows, axis=2).reshape(batch, height // 2 * 2, width // 2 * 2, channels)
    return jnp.pad(whole, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
