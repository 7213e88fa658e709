"""Colour: images are float, RGB, in [0, 1]."""

import jax
import jax.numpy as jnp
import numpy as np

# float32 on purpose, also in float64 runs: the official code holds them so.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def normalize_imagenet(image: jax.Array) -> jax.Array:
    """Image [..., 3] in [0, 1] less ImageNet's mean, divided by its standard deviation; same shape and type."""
    mean, std = (jnp.asarray(a, image.dtype) for a in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std
