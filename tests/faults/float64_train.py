"""`motrans train` in float64, with JAX_ENABLE_X64=1: in float32 rounding grows too much within a few steps of Adam."""

import functools
import sys

import jax
import numpy as np

from motion_transformer_jax import train
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.training import loop


def in_float64(function):
    def widened(*arguments):
        widen = functools.partial(jax.tree.map, lambda x: x.astype(np.float64) if x.dtype == np.float32 else x)
        return widen(function(*arguments))

    return widened


loop.create_train_state = in_float64(loop.create_train_state)
loop.load_vgg19 = in_float64(loop.load_vgg19)
sys.exit(run_command(train.main))
