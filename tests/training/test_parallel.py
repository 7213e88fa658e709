import functools

import jax
import numpy as np
import pytest

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.state import create_train_state
from motion_transformer_jax.training.step import create_train_step

pytestmark = [pytest.mark.slow, pytest.mark.optimized]


def train(num_devices: int, num_steps: int = 3):
    """Three steps of the same global batches on so many devices: losses, the first and the final state.

    In float64: in float32 rounding grows within three steps of Adam beyond any useful tolerance.
    """
    with jax.enable_x64(True):
        return _train(num_devices, num_steps)


def _train(num_devices: int, num_steps: int):
    config = taichi256.get_config("debug")
    mesh = create_mesh(jax.devices()[:num_devices])
    optimizer = create_configured_optimizer(config, milestone_steps=())
    wide = functools.partial(jax.tree.map, lambda x: x.astype(np.float64) if x.dtype == np.float32 else x)
    start = jax.device_get(wide(create_train_state(config, optimizer)))
    state = replicate(start, mesh)
    step = create_train_step(config, optimizer, mesh, wide(random_vgg19(0, num_taps=2)))
    videos = PuppetVideos(
        split="train", num_identities=8, clips_per_identity=1, num_frames=num_steps + 1, size=config.model.image_size
    )
    totals = []
    for i in range(num_steps):
        batch = {
            "source": np.stack([videos.frame(j, i) for j in range(8)]),
            "driving": np.stack([videos.frame(j, i + 1) for j in range(8)]),
        }
        state, metrics = step(state, shard_batch(batch, mesh))
        totals.append(float(metrics["total"]))
    return totals, start, jax.device_get(state)


@pytest.fixture(scope="module")
def one_device():
    return train(1)


def test_eight_devices_equal_one(one_device):
    totals, _, state = one_device
    totals8, _, state8 = train(8)
    np.testing.assert_allclose(totals8, totals, rtol=1e-5)
    assert state8.step == state.step == 3
    for a, b in zip(jax.tree.leaves(state8.params), jax.tree.leaves(state.params), strict=True):
        assert a.dtype == b.dtype
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max() + 1e-9  # a bias before a norm has no gradient


def test_training_moves_every_part(one_device):
    _, start, state = one_device
    for part, tree in state.params.items():
        moved = [np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (tree, start.params[part])), strict=True)]
        assert max(moved) > 1e-5, part


def test_a_batch_is_split_over_the_devices():
    mesh = create_mesh()
    batch = shard_batch({"source": np.arange(16)}, mesh)
    assert {shard.data.shape for shard in batch["source"].addressable_shards} == {(16 // len(jax.devices()),)}
