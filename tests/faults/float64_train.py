"""`motrans train` in float64, with JAX_ENABLE_X64=1: in float32 rounding grows too much within a few steps of Adam.

At the steps that $POISONED lists the last device finds NaN in its frames.
"""

import functools
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax import train
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.training import loop
from motion_transformer_jax.training import step as step_module
from motion_transformer_jax.training.parallel import DATA_AXIS

POISONED = np.array(os.environ.get("POISONED", "-1").split(","), int)
augmented_frames = step_module.augmented_frames


def in_float64(function):
    def widened(*arguments):
        widen = functools.partial(jax.tree.map, lambda x: x.astype(np.float64) if x.dtype == np.float32 else x)
        return widen(function(*arguments))

    return widened


def poisoned_frames(config, step, batch):
    source, driving = augmented_frames(config, step, batch)
    is_last = jax.lax.axis_index(DATA_AXIS) == jax.lax.axis_size(DATA_AXIS) - 1
    return jnp.where(is_last & jnp.isin(step + 1, POISONED), jnp.nan, source), driving


loop.create_train_state = in_float64(loop.create_train_state)
loop.load_vgg19 = in_float64(loop.load_vgg19)
step_module.augmented_frames = poisoned_frames
sys.exit(run_command(train.main))
