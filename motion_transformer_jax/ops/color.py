"""Colour: images are float, RGB, in [0, 1].

The adjustments are torchvision's of the same names, for float images. Inside, an image is three planes: a trailing axis
of three leaves a processor's vector units idle (five times slower on one core).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

# float32 on purpose, also in float64 runs: the official code holds them so.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # torchvision's; their sum is 0.9999
ADJUSTMENTS = ("brightness", "contrast", "saturation", "hue")

Planes = tuple[jax.Array, jax.Array, jax.Array]  # red, green and blue, [..., H, W] each


def normalize_imagenet(image: jax.Array) -> jax.Array:
    """Image [..., 3] in [0, 1] less ImageNet's mean, divided by its standard deviation; same shape and type."""
    mean, std = (jnp.asarray(a, image.dtype) for a in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


def adjust_brightness(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Multiply every value by a factor, and clip.

    Args:
      image: [..., H, W, 3] in [0, 1].
      factor: 0 or more, 1 changes nothing; a number, or one for each index of some of the image's first axes.

    Returns:
      As `image`.
    """
    planes = _split(image)
    return _join(_blend(planes, 0.0, _spread(factor, planes)))


def adjust_contrast(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Move every value from (factor above 1: away from) the image's mean grey, and clip.

    Arguments and result as `adjust_brightness`; at 0 the image is its mean grey.
    """
    planes = _split(image)
    return _join(_blend(planes, _mean(_grey(planes)), _spread(factor, planes)))


def adjust_saturation(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Move every pixel from (factor above 1: away from) its own grey, and clip.

    Arguments and result as `adjust_brightness`; at 0 the image is grey.
    """
    planes = _split(image)
    return _join(_blend(planes, _grey(planes), _spread(factor, planes)))


def adjust_hue(image: jax.Array, turn: jax.Array | float) -> jax.Array:
    """Turn the colour circle; value and saturation in the sense of HSV stay.

    Args:
      image: [..., H, W, 3] in [0, 1].
      turn: share of a whole turn, a third makes red green; a number, or one for each index of some of the image's
        first axes.

    Returns:
      As `image`.
    """
    planes = _split(image)
    return _join(_turn_hue(planes, _spread(turn, planes)))


def adjust_in_order(
    frames: Sequence[jax.Array], adjustments: Sequence[str], amounts: jax.Array, order: jax.Array
) -> list[jax.Array]:
    """Several adjustments, one after the other, in an order of each example's own.

    Branch-free, for a whole batch at once: at every place of the order each example goes through one formula that holds
    the three blends, and through the turn of hue, which is taken where its turn has come.

    Args:
      frames: images [B, ..., H, W, 3] in [0, 1] that are adjusted alike; contrast goes by each image's own mean.
      adjustments: N names from ADJUSTMENTS, each once.
      amounts: [B, N], the factor or turn of each adjustment.
      order: int [B, N]: the adjustment that comes first, second, ...; a permutation of 0 ... N - 1.

    Returns:
      The frames, adjusted.
    """
    if not adjustments:
        return list(frames)
    if len(adjustments) == 1:
        return [_BY_NAME[adjustments[0]](frame, amounts[:, 0]) for frame in frames]

    def adjust(images: list[Planes], place: tuple[jax.Array, jax.Array]) -> tuple[list[Planes], None]:
        return [_adjust_one_of(planes, adjustments, *place) for planes in images], None

    # A loop keeps the planes between two places in memory: unrolled, XLA on CPUs computes them anew for every use.
    places = order.T, jnp.take_along_axis(amounts, order, axis=1).T
    images, _ = jax.lax.scan(adjust, [_split(frame) for frame in frames], places)
    return [_join(planes) for planes in images]


def _adjust_one_of(planes: Planes, adjustments: Sequence[str], index: jax.Array, amount: jax.Array) -> Planes:
    """The adjustment number `index` of each example; index and amount [B]."""
    index, amount = _spread(index, planes), _spread(amount, planes)
    chosen = {name: index == number for number, name in enumerate(adjustments)}
    turned = chosen.pop("hue", None)
    target = 0.0
    if "saturation" in chosen:
        target = jnp.where(chosen["saturation"], _grey(planes), target)
    if "contrast" in chosen:
        target = jnp.where(chosen["contrast"], _mean(_grey(planes)), target)
    factor = amount if turned is None else jnp.where(turned, 1, amount)  # a factor of 1 changes nothing
    planes = _blend(planes, target, factor)
    if turned is None:
        return planes
    return tuple(jnp.where(turned, new, old) for new, old in zip(_turn_hue(planes, amount), planes, strict=True))


def _split(image: jax.Array) -> Planes:
    # In a loop, so that what made the image is not computed anew for each plane (twice as fast after a warp).
    planes = jax.lax.map(lambda channel: jax.lax.dynamic_index_in_dim(image, channel, -1, False), jnp.arange(3))
    return planes[0], planes[1], planes[2]


def _join(planes: Planes) -> jax.Array:
    return jnp.moveaxis(jnp.stack(planes), 0, -1)


def _spread(values: jax.Array | float, planes: Planes) -> jax.Array:
    """Values of the first axes, shaped to broadcast over the others of a plane."""
    values, plane = jnp.asarray(values), planes[0]
    values = values if jnp.issubdtype(values.dtype, jnp.integer) else values.astype(plane.dtype)
    return values.reshape(values.shape + (1,) * (plane.ndim - values.ndim))


def _grey(planes: Planes) -> jax.Array:
    return sum(weight * plane for weight, plane in zip(GREY_WEIGHTS, planes, strict=True))


def _mean(plane: jax.Array) -> jax.Array:
    return jnp.mean(plane, axis=(-2, -1), keepdims=True)


def _blend(planes: Planes, target: jax.Array | float, factor: jax.Array) -> Planes:
    """`factor` of the image and 1 - `factor` of the target, clipped."""
    rest = (1 - factor) * target
    return tuple(jnp.clip(factor * plane + rest, 0, 1) for plane in planes)


def _turn_hue(planes: Planes, turn: jax.Array) -> Planes:
    """The turn by way of HSV, without a division or a case for grey.

    A pixel is its smallest value plus `chroma` times a shape of the hue: each primary has its full share within a sixth
    of a turn of its own hue, and none beyond two sixths. Here hues are in sixths of a turn times chroma, so that
    nothing is divided by chroma, and a grey pixel, of chroma 0, stays as it is.
    """
    red, green, blue = planes
    low, high = (functools.reduce(extreme, planes) for extreme in (jnp.minimum, jnp.maximum))
    chroma = high - low
    hue = jnp.where(
        high == red, green - blue, jnp.where(high == green, 2 * chroma + (blue - red), 4 * chroma + (red - green))
    )
    hue += 6 * (turn - jnp.round(turn)) * chroma

    def primary(place: int) -> jax.Array:
        distance = jnp.abs(hue - place * chroma)
        distance = jnp.minimum(distance, jnp.abs(6 * chroma - distance))  # the shorter way round
        return low + jnp.clip(2 * chroma - distance, 0, chroma)

    return primary(0), primary(2), primary(4)


_BY_NAME = dict(zip(ADJUSTMENTS, (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue), strict=True))
