"""A batch's frames as the training steps take them: float and augmented."""

from collections.abc import Mapping

import jax
from ml_collections import ConfigDict

from motion_transformer_jax.data.augment import Augmentation, augment_pair
from motion_transformer_jax.training.parallel import DATA_AXIS
from motion_transformer_jax.training.randomness import example_keys

Batch = Mapping[str, jax.Array]


def augmented_frames(config: ConfigDict, step: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Source and driving images [B, H, W, 3] in [0, 1], changed at random as `config.augmentation` says.

    Args:
        config: the experiment's.
        step: int32 [], the updates made so far.
        batch: this device's share of {"source", "driving"}; to be called inside a function mapped over `DATA_AXIS`.
    """
    keys = example_keys(config.seed, "augmentation", step, len(batch["source"]), DATA_AXIS)
    return augment_pair(keys, batch["source"], batch["driving"], Augmentation(**config.augmentation))
