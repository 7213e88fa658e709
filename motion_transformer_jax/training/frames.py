"""A batch's frames as the steps take them: float, and for training augmented."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from motion_transformer_jax.data.augment import Augmentation, augment_pair
from motion_transformer_jax.training.parallel import DATA_AXIS
from motion_transformer_jax.training.randomness import example_keys

Batch = Mapping[str, jax.Array]


def to_float(image: jax.Array) -> jax.Array:
    """uint8 image to float32 in [0, 1]; a float image stays as it is."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image


def augmented_frames(config: ConfigDict, step: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Source and driving images [B, H, W, 3] in [0, 1], changed at random as `config.augmentation` says.

    Args:
        config: the experiment's.
        step: int32 [], the updates made so far.
        batch: this device's share of {"source", "driving"}; to be called inside a function mapped over `DATA_AXIS`.
    """
    source, driving = to_float(batch["source"]), to_float(batch["driving"])
    keys = example_keys(config.seed, "augmentation", step, source.shape[0], DATA_AXIS)
    return augment_pair(keys, source, driving, Augmentation(**config.augmentation))
