"""A tiny model with random weights, for tests of the inference."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.configs import demo
from motion_transformer_jax.training.checkpoint import variable_shapes
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.state import TrainState

SIZE = 32


def tiny_config():
    config = demo.get_config("debug")
    config.optimizer.ema_decay = 0.0
    assert config.model.image_size == SIZE
    return config


def tiny_avd_config():
    """MRAA with a disentangler."""
    config = demo.get_config("mraa_avd,debug")
    config.optimizer.ema_decay = 0.0
    return config


@functools.cache
def tiny_variables():
    return random_variables(tiny_config())


@functools.cache
def tiny_avd_variables():
    return random_variables(tiny_avd_config())


def random_variables(config):
    """Weights that nothing need be compiled for; unlike with fresh ones, motions differ much between images."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        if name == "kernel":
            return rng.normal(0, 1.4 / math.sqrt(math.prod(leaf.shape[:-1])), leaf.shape).astype(np.float32)
        return rng.normal(0, 0.1, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, variable_shapes(config))


def random_frames(count, height=SIZE, width=SIZE, seed=0):
    """Coarse coloured checks, uint8 [count, height, width, 3]."""
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return np.random.default_rng(seed).integers(0, 255, (count, 4, 4, 3), np.uint8)[:, rows][:, :, columns]


def save_checkpoint(folder, config, variables):
    """Makes a run's folder that holds them as step 1."""
    folder.mkdir()
    save_config(folder, config)
    state = TrainState(step=jnp.int32(1), opt_state={}, **jax.device_put(variables))
    with CheckpointStore(folder, keep_last=1) as store:
        store.save(1, state, {})
