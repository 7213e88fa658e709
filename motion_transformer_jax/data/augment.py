"""Augmentation of training pairs, on the device: the official set, the same draw for both frames of a pair.

Flips, rotation, resizing and cropping are one affine warp, so that a pixel is interpolated once. The official code
interpolates after each: bilinearly for the rotation, then the nearest pixel of a smoothed image for the resizing; and
between colour adjustments it rounds to 8 bits, where this one stays float.
"""

import dataclasses
import enum

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.color import ADJUSTMENTS, adjust_in_order
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
    """

    horizontal_flip: bool = False
    time_flip: bool = False
    rotation_degrees: float = 0.0
    resize_ratio: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


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
      source, driving: [B, H, W, 3] in [0, 1]; the earlier frame is the source, where `time_flip` shall mean anything.
      augmentation: what may happen. What it switches off is not computed.

    Returns:
      Source and driving, as they were given.
    """
    swapped = mirrored = None
    if augmentation.time_flip:
        swapped = _coin(keys, _Draw.TIME_FLIP)
    if augmentation.horizontal_flip:
        mirrored = _coin(keys, _Draw.HORIZONTAL_FLIP)
        if swapped is not None:
            mirrored &= ~swapped  # the official code does not go on to it after a time flip
    drawn = draw_warp(keys, augmentation)
    if drawn:
        source, driving = _warp(source, driving, mirrored=mirrored, **drawn)
    elif mirrored is not None:
        source, driving = (_where(mirrored, frame[:, :, ::-1], frame) for frame in (source, driving))
    source, driving = _recolour(keys, source, driving, augmentation)
    if swapped is not None:  # last, since a warp would read what two frames are chosen from at every pixel
        source, driving = _where(swapped, driving, source), _where(swapped, source, driving)
    return source, driving


def _uniform(keys: jax.Array, draw: _Draw, shape: tuple[int, ...], low=0.0, high=1.0, dtype=jnp.float32) -> jax.Array:
    """Uniform numbers [B, *shape] in [low, high), each pair's of its own key."""

    def one(key: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, draw), shape, dtype, low, high)

    return jax.vmap(one)(keys)


def _coin(keys: jax.Array, draw: _Draw) -> jax.Array:
    return _uniform(keys, draw, ()) < 0.5


def _where(chosen: jax.Array, image: jax.Array, otherwise: jax.Array) -> jax.Array:
    return jnp.where(chosen[:, None, None, None], image, otherwise)


def draw_warp(keys: jax.Array, augmentation: Augmentation) -> dict[str, jax.Array]:
    """Rotation and resizing of each pair, as `sampling_grid` takes them; empty where neither may happen."""
    drawn = {}
    if augmentation.rotation_degrees > 0:
        drawn["degrees"] = augmentation.rotation_degrees * _uniform(keys, _Draw.ANGLE, (), -1, 1)
    if tuple(augmentation.resize_ratio) != (1, 1):
        drawn["factor"] = _uniform(keys, _Draw.SIZE, (), *augmentation.resize_ratio)
        drawn["place"] = _uniform(keys, _Draw.PLACE, (2,))
    return drawn


def _warp(source: jax.Array, driving: jax.Array, **moves: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Both frames read at one grid. As channels of one image they would take three times as long on a CPU, where only
    what several results share is kept in memory.
    """
    grid = sampling_grid(*source.shape[1:3], **moves).astype(source.dtype)
    source, driving = (
        grid_sample(frame, grid, padding_mode="border", align_corners=False) for frame in (source, driving)
    )
    return source, driving


def sampling_grid(
    height: int,
    width: int,
    *,
    mirrored: jax.Array | None = None,
    degrees: jax.Array | None = None,
    factor: jax.Array | None = None,
    place: jax.Array | None = None,
) -> jax.Array:
    """Where each pixel of an augmented image lies in the given one.

    An image is mirrored, rotated, resized and cropped, in this order, or as much of it as is not None; the grid takes
    the way back.

    Args:
      height, width: of the image, before and after.
      mirrored: [B] bool: left to right.
      degrees: [B], counter-clockwise as seen, about the centre.
      factor: [B], of the size, which is rounded down to whole pixels; smaller images are continued by their edge.
      place: [B, 2] in [0, 1), with `factor`: which of the places is cropped where a larger image has room for the crop;
        along x and along y.

    Returns:
      [B, height, width, 2]: `(x, y)`; -1 and 1 are the outer edges of the image (`align_corners=False`).
    """
    # Pixels, counted from the first one's centre, then from the image's.
    x, y = (jnp.arange(size, dtype=jnp.float32)[None] for size in (width, height))
    if factor is not None:
        x = _before_resize_and_crop(x, width, factor[:, None], place[:, :1])
        y = _before_resize_and_crop(y, height, factor[:, None], place[:, 1:])
    x, y = jnp.broadcast_arrays(x[:, None, :] - (width - 1) / 2, y[:, :, None] - (height - 1) / 2)
    if degrees is not None:
        angle = jnp.deg2rad(degrees)[:, None, None]
        x, y = jnp.cos(angle) * x - jnp.sin(angle) * y, jnp.sin(angle) * x + jnp.cos(angle) * y
    if mirrored is not None:
        x = jnp.where(mirrored[:, None, None], -x, x)
    return jnp.stack([x * (2 / width), y * (2 / height)], axis=-1)


def _before_resize_and_crop(position: jax.Array, size: int, factor: jax.Array, place: jax.Array) -> jax.Array:
    """Pixel positions [1, size] along one axis after both: where they were before, [B, size]; others are [B, 1]."""
    resized = jnp.floor(size * factor)
    room = resized - size
    first = jnp.where(room < 0, -jnp.floor(-room / 2), jnp.floor(place * (room + 1)))
    position = jnp.clip(position + first, 0, resized - 1)
    return (position + 0.5) * size / resized - 0.5


def _recolour(
    keys: jax.Array, source: jax.Array, driving: jax.Array, augmentation: Augmentation
) -> tuple[jax.Array, jax.Array]:
    """Adjust brightness, contrast, saturation and hue, in an order drawn for each pair."""
    enabled = [name for name in ADJUSTMENTS if getattr(augmentation, name) > 0]
    if not enabled:
        return source, driving
    drawn = _uniform(keys, _Draw.AMOUNTS, (len(ADJUSTMENTS),), dtype=source.dtype)
    amounts = []
    for name in enabled:
        reach = getattr(augmentation, name)
        low, high = (-reach, reach) if name == "hue" else (max(0.0, 1 - reach), 1 + reach)
        amounts.append(low + (high - low) * drawn[:, ADJUSTMENTS.index(name)])
    order = jnp.argsort(_uniform(keys, _Draw.ORDER, (len(enabled),)), axis=1)
    source, driving = adjust_in_order((source, driving), enabled, jnp.stack(amounts, axis=1), order)
    return source, driving
