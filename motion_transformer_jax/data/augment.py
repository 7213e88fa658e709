"""Augmentation of training pairs, on the device: the official set, the same draw for both frames of a pair.

Flips, rotation, resizing and cropping are one affine warp, so that a pixel is interpolated once. The official code
interpolates after each: bilinearly for the rotation, then the nearest pixel of a smoothed image for the resizing; and
between colour adjustments it rounds to 8 bits, where this one stays float.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.ops.color import ADJUSTMENTS, adjust_in_order, to_float
from motion_transformer_jax.ops.grid_sample import grid_sample


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What may happen to a pair: the fields of a config's `augmentation` group. As it stands, nothing.

    Attributes:
      horizontal_flip: mirror half of the pairs left to right, of those not flipped in time.
      time_flip: exchange source and driving in half of the pairs.
      rotation_degrees: rotate by an angle within ± this, in [0, 180].
      resize_ratio: (smallest, largest) factor of the size; the image is then cropped at random, or padded by its edge,
        to the size it had.
      brightness, contrast, saturation: factors are within 1 ± this and not below 0.
      hue: turned by up to ± this share of a whole turn, in [0, 0.5].

    Raises:
      UserError: a field is out of its range.
    """

    horizontal_flip: bool = False
    time_flip: bool = False
    rotation_degrees: float = 0.0
    resize_ratio: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        """Check the ranges; a UserError tells the fields by their names in a config."""
        most = {
            "rotation_degrees": 180,
            "brightness": math.inf,
            "contrast": math.inf,
            "saturation": math.inf,
            "hue": 0.5,
        }
        for name, bound in most.items():
            value = getattr(self, name)
            if not (0 <= value <= bound and math.isfinite(value)):
                expected = "a finite number, 0 or more" if bound == math.inf else f"0 to {bound}"
                raise UserError(f"augmentation.{name}={value} is out of range; expected {expected}")
        ratio = tuple(self.resize_ratio)
        numbers = len(ratio) == 2 and all(isinstance(value, (int, float)) for value in ratio)
        if not (numbers and 0.1 <= ratio[0] <= ratio[1] <= 10):
            raise UserError(
                f"augmentation.resize_ratio={ratio} is not a smallest and a largest factor of the size; expected a "
                "pair within 0.1 to 10, such as (0.9, 1.1)"
            )


class _Draw(enum.IntEnum):
    """Each with numbers of its own, so that what is switched off changes none of the others."""

    TIME_FLIP = 0
    HORIZONTAL_FLIP = 1
    ANGLE = 2
    SIZE = 3
    PLACE = 4
    AMOUNTS = 5
    ORDER = 6


def augment_pair(
    keys: jax.Array, source: jax.Array, driving: jax.Array, augmentation: Augmentation
) -> tuple[jax.Array, jax.Array]:
    """Flip, warp and recolour pairs at random; both frames of a pair alike.

    Args:
      keys: [B], one for each pair.
      source, driving: [B, H, W, 3], uint8 or in [0, 1]; the earlier frame is the source, where `time_flip` shall mean
        anything.
      augmentation: what may happen. What it switches off is not computed.

    Returns:
      Source and driving, [B, H, W, 3] in [0, 1].
    """
    flips, warp = _draw_flips(keys, augmentation), draw_warp(keys, augmentation, *source.shape[1:3])
    enabled = [name for name in ADJUSTMENTS if getattr(augmentation, name) > 0]
    colours = _draw_colours(keys, augmentation, enabled) if enabled else None

    def augment(pair: tuple) -> tuple[jax.Array, jax.Array]:
        frames, flips, warp, colours = pair
        if "swapped" in flips:
            frames = jax.lax.cond(flips["swapped"], lambda pair: pair[::-1], lambda pair: pair, frames)
        frames = [to_float(frame) for frame in frames]
        if warp is not None:
            grid = sampling_grid(**warp, mirrored=flips.get("mirrored"))
            frames = [_sample(frame, grid) for frame in frames]
        elif "mirrored" in flips:
            frames = [jnp.where(flips["mirrored"], frame[:, ::-1], frame) for frame in frames]
        if colours is not None:
            frames = adjust_in_order(frames, enabled, *colours)
        return tuple(frames)

    pairs = ((source, driving), flips, warp, colours)
    if warp is None and colours is None:
        return jax.vmap(augment)(pairs)
    # On a CPU pairs go one by one: each stays in the cache, and of the colours only what its turn is, is computed.
    return jax.lax.platform_dependent(pairs, cpu=functools.partial(jax.lax.map, augment), default=jax.vmap(augment))


def _sample(frame: jax.Array, grid: jax.Array) -> jax.Array:
    """[H, W, 3] read at [H, W, 2]."""
    grid = grid.astype(frame.dtype)
    return grid_sample(frame[None], grid[None], padding_mode="border", align_corners=False)[0]


def _draw_flips(keys: jax.Array, augmentation: Augmentation) -> dict[str, jax.Array]:
    """Which pairs are `swapped` in time, and which `mirrored`: [B] bool each, where that may happen."""
    drawn = {}
    if augmentation.time_flip:
        drawn["swapped"] = _coin(keys, _Draw.TIME_FLIP)
    if augmentation.horizontal_flip:
        drawn["mirrored"] = _coin(keys, _Draw.HORIZONTAL_FLIP)
        if augmentation.time_flip:
            drawn["mirrored"] &= ~drawn["swapped"]  # the official code does not go on to it after a time flip
    return drawn


def _uniform(keys: jax.Array, draw: _Draw, shape: tuple[int, ...], low=0.0, high=1.0, dtype=jnp.float32) -> jax.Array:
    """Uniform numbers [B, *shape] in [low, high), each pair's of its own key."""

    def one(key: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, draw), shape, dtype, low, high)

    return jax.vmap(one)(keys)


def _coin(keys: jax.Array, draw: _Draw) -> jax.Array:
    return _uniform(keys, draw, ()) < 0.5


def draw_warp(keys: jax.Array, augmentation: Augmentation, height: int, width: int) -> dict[str, jax.Array] | None:
    """Rotation, resizing and crop of each pair as `sampling_grid` takes them; None where none of them may happen.

    The positions of columns and rows are made here for all pairs, since pair by pair they would be made anew for each
    use.
    """
    resizes = tuple(augmentation.resize_ratio) != (1, 1)
    if not resizes and not augmentation.rotation_degrees > 0:
        return None
    columns, rows = (
        jnp.broadcast_to(jnp.arange(size, dtype=jnp.float32), (len(keys), size)) for size in (width, height)
    )
    if resizes:
        factor, place = _uniform(keys, _Draw.SIZE, (), *augmentation.resize_ratio), _uniform(keys, _Draw.PLACE, (2,))
        columns, rows = uncropped(width, factor, place[:, 0]), uncropped(height, factor, place[:, 1])
    drawn = {"columns": columns, "rows": rows}
    if augmentation.rotation_degrees > 0:
        drawn["degrees"] = augmentation.rotation_degrees * _uniform(keys, _Draw.ANGLE, (), -1, 1)
    return drawn


def uncropped(size: int, factor: jax.Array, place: jax.Array) -> jax.Array:
    """Where the pixels along one axis lay before the image was resized and cropped.

    Args:
      size: of the axis, before and after.
      factor: [B], of the size, which is rounded down to whole pixels; a smaller image is continued by its edge.
      place: [B] in [0, 1): which of the places is cropped where a larger image has room for the crop.

    Returns:
      [B, size], in pixels from the first one's centre.
    """
    resized = jnp.floor(size * factor)[:, None]
    room = resized - size
    first = jnp.where(room < 0, -jnp.floor(-room / 2), jnp.floor(place[:, None] * (room + 1)))
    position = jnp.clip(jnp.arange(size) + first, 0, resized - 1)
    return (position + 0.5) * size / resized - 0.5


def sampling_grid(
    columns: jax.Array, rows: jax.Array, *, mirrored: jax.Array | None = None, degrees: jax.Array | None = None
) -> jax.Array:
    """Where the pixels of an image that was mirrored, then rotated, lie in the given one.

    Args:
      columns, rows: [W] and [H], the pixels to read, counted from the first one's centre.
      mirrored: bool []: left to right; None: not.
      degrees: [], counter-clockwise as seen, about the centre; None: not at all.

    Returns:
      [H, W, 2]: `(x, y)`; -1 and 1 are the outer edges of the image (`align_corners=False`).
    """
    width, height = len(columns), len(rows)
    x, y = jnp.broadcast_arrays(columns[None, :] - (width - 1) / 2, rows[:, None] - (height - 1) / 2)
    if degrees is not None:
        angle = jnp.deg2rad(degrees)
        x, y = jnp.cos(angle) * x - jnp.sin(angle) * y, jnp.sin(angle) * x + jnp.cos(angle) * y
    if mirrored is not None:
        x = jnp.where(mirrored, -x, x)
    return jnp.stack([x * (2 / width), y * (2 / height)], axis=-1)


def _draw_colours(keys: jax.Array, augmentation: Augmentation, enabled: Sequence[str]) -> tuple[jax.Array, jax.Array]:
    """Amounts and order, [B, N] each, of the N adjustments that are enabled."""
    drawn = _uniform(keys, _Draw.AMOUNTS, (len(ADJUSTMENTS),))
    amounts = []
    for name in enabled:
        reach = getattr(augmentation, name)
        low, high = (-reach, reach) if name == "hue" else (max(0.0, 1 - reach), 1 + reach)
        amounts.append(low + (high - low) * drawn[:, ADJUSTMENTS.index(name)])
    order = jnp.argsort(_uniform(keys, _Draw.ORDER, (len(enabled),)), axis=1)
    return jnp.stack(amounts, axis=1), order
