"""Bilinear sampling of images at given points: the warp of every model here."""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.fusion import apart
from motion_transformer_jax.ops.reduction import sum_channels

PADDING_MODES = ("zeros", "border", "reflection")


def grid_sample(image: jax.Array, grid: jax.Array, *, padding_mode: str, align_corners: bool) -> jax.Array:
    """Read an image at the points of a grid, bilinearly between the four nearest pixels.

    Values and gradients, with respect to the image and to the grid, are those of PyTorch's
    `grid_sample`. A grid with more rows than the image costs nothing special: several warps of one
    image go in one call, stacked along `h`.

    Args:
      image: [B, H, W, C], floating; or [1, H, W, C], one image for all grids.
      grid: [B, h, w, 2], points `(x, y)`; [-1, 1] spans the image. Points outside of it, infinite
        ones too, follow `padding_mode` (with "reflection" an infinite point has no place and gives
        NaN). A NaN gives a NaN sample. The arithmetic of the weights runs in the wider of the two
        types.
      padding_mode: what lies outside: "zeros", "border" (the nearest edge pixel) or "reflection"
        (mirrored at the border that -1 and 1 mark).
      align_corners: True: -1 and 1 are the centres of the first and last pixel; False: their outer
        edges.

    Returns:
      [B, h, w, C] in the image's type.

    Raises:
      ValueError: if a shape or the padding mode is wrong.
    """
    _check(image, grid, padding_mode)
    if image.shape[0] == 1 and grid.shape[0] != 1:
        stacked = grid.reshape(1, -1, *grid.shape[2:])
        result = grid_sample(image, stacked, padding_mode=padding_mode, align_corners=align_corners)
        return result.reshape(*grid.shape[:3], -1)
    batch, height, width, channels = image.shape
    dtype = jnp.promote_types(image.dtype, grid.dtype)
    x, y = (
        _place(grid[..., i].astype(dtype), size, padding_mode, align_corners) for i, size in enumerate((width, height))
    )
    return _read(image.reshape(batch, height * width, channels), x, y, height, width).astype(image.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _read(pixels: jax.Array, x: jax.Array, y: jax.Array, height: int, width: int) -> jax.Array:
    """Pixels [B, height * width, C] read at positions x and y, [B, h, w] in pixels: [B, h, w, C] in the wider type."""
    # One gather per corner, each fused with its weight: ten times faster than a single gather of all four.
    return sum(_gather(pixels, index) * weight[..., None] for index, weight, _, _ in _corners(x, y, height, width))


def _read_forward(pixels: jax.Array, x: jax.Array, y: jax.Array, height: int, width: int):
    return _read(pixels, x, y, height, width), (pixels, x, y)


def _read_backward(height: int, width: int, saved: tuple[jax.Array, jax.Array, jax.Array], gradient: jax.Array):
    def computed(on_cpu: Callable, elsewhere: Callable):
        on_cpu, elsewhere = (functools.partial(each, height=height, width=width) for each in (on_cpu, elsewhere))

        def behind_barrier(pixels: jax.Array, x: jax.Array, y: jax.Array, gradient: jax.Array):
            return elsewhere(pixels, *lax.optimization_barrier((x, y, gradient)))

        return lax.platform_dependent(*saved, gradient, cpu=apart(on_cpu), default=behind_barrier)

    # Each apart from the other, so that the one by a photograph, which nobody reads, is not computed; and in both the
    # pixels are read anew, not kept from the forward pass. The corners too: XLA would weight the gradient for all four
    # before it adds the first.
    pixel_gradients = (functools.partial(_pixel_gradient, add=add) for add in (apart(_add_weighted), _add_weighted))
    return computed(*pixel_gradients), *computed(_position_gradients, _position_gradients)


def _pixel_gradient(
    pixels: jax.Array, x: jax.Array, y: jax.Array, gradient: jax.Array, *, height: int, width: int, add: Callable
) -> jax.Array:
    # Of one array of the wider type: sums of many small numbers, in bfloat16, would lose them.
    total = jnp.zeros(pixels.shape, gradient.dtype)
    for index, weight, _, _ in _corners(x, y, height, width):
        total = add(total, index, weight, gradient)
    return total.astype(pixels.dtype)


def _position_gradients(
    pixels: jax.Array, x: jax.Array, y: jax.Array, gradient: jax.Array, *, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    x_gradient = y_gradient = jnp.zeros_like(x)
    for index, _, x_slope, y_slope in _corners(x, y, height, width):
        change = sum_channels(_gather(pixels, index) * gradient)
        x_gradient, y_gradient = x_gradient + change * x_slope, y_gradient + change * y_slope
    return x_gradient, y_gradient


_read.defvjp(_read_forward, _read_backward)


def _corners(x: jax.Array, y: jax.Array, height: int, width: int) -> Iterator[tuple[jax.Array, ...]]:
    """For each of the four pixels around a position its index, its weight, and the weight's slopes along x and y."""
    left, top = jnp.floor(x), jnp.floor(y)
    for row, row_weight, row_sign in ((top, 1 - (y - top), -1), (top + 1, y - top, 1)):
        for column, column_weight, column_sign in ((left, 1 - (x - left), -1), (left + 1, x - left, 1)):
            inside = _inside(row, height) * _inside(column, width)
            index = _index(row, height) * width + _index(column, width)
            yield (
                index,
                row_weight * column_weight * inside,
                column_sign * row_weight * inside,
                row_sign * column_weight * inside,
            )


def _check(image: jax.Array, grid: jax.Array, padding_mode: str) -> None:
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode is {padding_mode!r}; expected one of {PADDING_MODES}")
    if image.ndim != 4 or grid.ndim != 4 or grid.shape[-1] != 2:
        raise ValueError(
            f"expected an image [B, H, W, C] and a grid [B, h, w, 2]; got shapes {image.shape} and {grid.shape}"
        )
    if image.shape[0] not in (1, grid.shape[0]):
        raise ValueError(f"image has batch {image.shape[0]} but grid has {grid.shape[0]}")


def _place(coordinate: jax.Array, size: int, padding_mode: str, align_corners: bool) -> jax.Array:
    """From [-1, 1] to pixels (0: centre of the first), brought to the image as padding says."""
    if align_corners:
        position = (coordinate + 1) / 2 * (size - 1)
        low, span = 0.0, size - 1.0
    else:
        position = ((coordinate + 1) * size - 1) / 2
        low, span = -0.5, float(size)
    if padding_mode == "zeros":
        # Two pixels outside all four weights are zero already; farther away an index or a weight
        # could overflow.
        return _clip(position, -2.0, size + 1.0)
    if padding_mode == "reflection":
        position = _reflect(position, low, span)
    return _clip(position, 0.0, size - 1.0)


def _clip(position: jax.Array, low: float, high: float) -> jax.Array:
    """Clip, NaN stays NaN; no gradient at the bounds, where `jnp.clip` has half of one."""
    inside = (position > low) & (position < high)
    return jnp.where(inside, position, lax.stop_gradient(jnp.clip(position, low, high)))


def _reflect(position: jax.Array, low: float, span: float) -> jax.Array:
    """Fold the line into [low, low + span] by mirroring at both ends."""
    if span == 0:
        return jnp.zeros_like(position)
    offset = position - low
    folds = lax.stop_gradient(jnp.floor(offset / span))
    rest = offset - folds * span
    return low + jnp.where(folds % 2 == 0, rest, span - rest)


def _inside(position: jax.Array, size: int) -> jax.Array:
    """1 where a whole-numbered pixel position lies in the image, else 0; 1 for a NaN to pass on."""
    return (~((position < 0) | (position > size - 1))).astype(position.dtype)


def _index(position: jax.Array, size: int) -> jax.Array:
    """A whole-numbered position as an index that is always valid."""
    return jnp.clip(position.astype(jnp.int32), 0, size - 1)


def _gather(pixels: jax.Array, index: jax.Array) -> jax.Array:
    """[B, N, C] read at [B, h, w] -> [B, h, w, C]."""
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="promise_in_bounds"))(pixels, index)


def _add_weighted(pixels: jax.Array, index: jax.Array, weight: jax.Array, added: jax.Array) -> jax.Array:
    """[B, N, C] with [B, h, w, C] times the weight [B, h, w] added at [B, h, w]."""
    added = added * weight[..., None]
    return jax.vmap(lambda rows, i, new: rows.at[i].add(new, mode="promise_in_bounds"))(pixels, index, added)
