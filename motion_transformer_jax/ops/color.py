"""Colour: images are float, RGB, in [0, 1].

The adjustments are torchvision's of the same names, for float images. Inside, the three channels are planes, [..., 3,
H, W]: a trailing axis of three leaves a processor's vector units idle.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

# float32 on purpose, also in float64 runs: the official code holds them so.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # torchvision's; their sum is 0.9999


def to_float(image: jax.Array) -> jax.Array:
    """uint8 image to float32 in [0, 1]; a float image stays as it is."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image


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
    return _adjust(_brightness, image, factor)


def adjust_contrast(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Move every value from (factor above 1: away from) the image's mean grey, and clip.

    Arguments and result as `adjust_brightness`; at 0 the image is its mean grey.
    """
    return _adjust(_contrast, image, factor)


def adjust_saturation(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Move every pixel from (factor above 1: away from) its own grey, and clip.

    Arguments and result as `adjust_brightness`; at 0 the image is grey.
    """
    return _adjust(_saturation, image, factor)


def adjust_hue(image: jax.Array, turn: jax.Array | float) -> jax.Array:
    """Turn the colour circle; value and saturation in the sense of HSV stay.

    Args:
      image: [..., H, W, 3] in [0, 1].
      turn: share of a whole turn, a third makes red green; a number, or one for each index of some of the image's
        first axes.

    Returns:
      As `image`.
    """
    return _adjust(_hue, image, turn)


def adjust_in_order(
    frames: Sequence[jax.Array], adjustments: Sequence[str], amounts: jax.Array, order: jax.Array
) -> list[jax.Array]:
    """Several adjustments, one after the other, in a given order.

    Only the adjustment whose turn it is, is computed; under `vmap` all are, and one is chosen.

    Args:
      frames: images [H, W, 3] in [0, 1] that are adjusted alike; contrast goes by each image's own mean.
      adjustments: N names from ADJUSTMENTS, each once.
      amounts: [N], the factor or turn of each adjustment.
      order: int [N]: the adjustment that comes first, second, ...; a permutation of 0 ... N - 1.

    Returns:
      The frames, adjusted.
    """

    def adjust_all(function: Callable, number: int, planes: list[jax.Array]) -> list[jax.Array]:
        return [function(image, amounts[number]) for image in planes]

    branches = [functools.partial(adjust_all, _FUNCTIONS[name], number) for number, name in enumerate(adjustments)]
    if len(branches) == 1:
        # A choice that is none would be fused with what is around it, and take three times as long on CPUs.
        branches.append(lambda planes: planes)
    planes = [_to_planes(image) for image in frames]
    for place in range(len(adjustments)):
        planes = jax.lax.switch(order[place], branches, planes)
    return [_from_planes(image) for image in planes]


def _adjust(function: Callable, image: jax.Array, amount: jax.Array | float) -> jax.Array:
    planes, amount = _to_planes(image), jnp.asarray(amount, image.dtype)
    return _from_planes(function(planes, amount.reshape(amount.shape + (1,) * (planes.ndim - amount.ndim))))


def _to_planes(image: jax.Array) -> jax.Array:
    return jnp.moveaxis(image, -1, -3)


def _from_planes(planes: jax.Array) -> jax.Array:
    return jnp.moveaxis(planes, -3, -1)


def _brightness(planes: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.clip(factor * planes, 0, 1)


def _contrast(planes: jax.Array, factor: jax.Array) -> jax.Array:
    means = jnp.mean(planes, axis=(-2, -1), keepdims=True)  # first of the planes: three times as fast as of the grey
    return _blend(planes, _grey(means), factor)


def _saturation(planes: jax.Array, factor: jax.Array) -> jax.Array:
    return _blend(planes, _grey(planes), factor)


def _grey(planes: jax.Array) -> jax.Array:
    """[..., 1, H, W]."""
    return sum(weight * planes[..., i : i + 1, :, :] for i, weight in enumerate(GREY_WEIGHTS))


def _blend(planes: jax.Array, target: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.clip(factor * planes + (1 - factor) * target, 0, 1)


def _hue(planes: jax.Array, turn: jax.Array) -> jax.Array:
    """The turn by way of HSV, without a division or a case for grey.

    A pixel is its smallest value plus `chroma` times a shape of the hue: each primary has its full share within a sixth
    of a turn of its own hue, and none beyond two sixths. Here hues are in sixths of a turn times chroma, so that
    nothing is divided by chroma, and a grey pixel, of chroma 0, stays as it is.
    """
    red, green, blue = (planes[..., i : i + 1, :, :] for i in range(3))
    low, high = (functools.reduce(extreme, (red, green, blue)) for extreme in (jnp.minimum, jnp.maximum))
    chroma = high - low
    hue = jnp.where(
        high == red, green - blue, jnp.where(high == green, 2 * chroma + (blue - red), 4 * chroma + (red - green))
    )
    hue += 6 * (turn - jnp.round(turn)) * chroma

    def primary(place: int) -> jax.Array:
        distance = jnp.abs(hue - place * chroma)
        distance = jnp.minimum(distance, jnp.abs(6 * chroma - distance))  # the shorter way round
        return low + jnp.clip(2 * chroma - distance, 0, chroma)

    return jnp.concatenate([primary(0), primary(2), primary(4)], axis=-3)


_FUNCTIONS = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}
ADJUSTMENTS = tuple(_FUNCTIONS)
