"""The motion estimator trained alone, on puppets whose joints are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import random_variables

from motion_transformer_jax.configs import demo
from motion_transformer_jax.data.pairs import PairSource, validation_pairs
from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.training.landmark_guidance import PARTS
from motion_transformer_jax.training.landmark_pretraining import create_landmark_eval_step, create_landmark_step
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.state import TrainState, with_fresh_average

NUM_STEPS = 40


def config():
    config = demo.get_config("debug")
    config.model.num_keypoints = len(PARTS)
    config.train.objective = "landmarks"
    config.loss.landmark_guidance = 2.0
    config.augmentation.time_flip = False
    config.optimizer.ema_decay = 0.5
    return config


@pytest.fixture(scope="module")
def batch():
    size = config().model.image_size
    videos = create_videos("test", kind="puppets", image_size=size, puppet_identities=8, puppet_clips=2)
    [batch] = validation_pairs(videos, num_pairs=4, batch_size=4, joints=True, seed=0)
    source = PairSource(videos, repeats=1, joints=True)
    video, (_, t) = source.choose(0)
    np.testing.assert_array_equal(source[0]["driving_joints"], videos.annotations(video)[0][t])
    return batch


def take_steps(batch, num_steps, devices):
    """The states before and after, and the metrics of each step; always the same batch."""
    mesh, optimizer = create_mesh(jax.devices()[:devices]), create_configured_optimizer(config(), milestone_steps=())
    step = create_landmark_step(config(), optimizer, mesh)
    variables = random_variables(config())
    first = with_fresh_average(TrainState(jnp.int32(0), **variables, opt_state=optimizer.init(variables["params"])))
    first = jax.tree.map(np.array, first)
    state, metrics = replicate(first, mesh), []
    for _ in range(num_steps):
        state, terms = step(state, shard_batch(batch, mesh))
        metrics.append(jax.device_get(terms))
    return first, jax.tree.map(np.array, state), metrics


@pytest.fixture(scope="module")
def trained(batch):
    return take_steps(batch, NUM_STEPS, devices=1)


def test_the_estimator_learns_where_the_parts_are(trained, batch):
    first, last, metrics = trained
    assert metrics[0].keys() == {"total", "landmark_guidance", "gradient_norm/motion_estimator", "update/skipped"}
    assert metrics[-1]["total"] < 0.5 * metrics[0]["total"]
    evaluate = create_landmark_eval_step(config())
    before, after = (jax.device_get(evaluate(state.inference_variables(), batch)) for state in (first, last))
    assert after["l1"] < 0.5 * before["l1"] and after["l1_affine"] < 0.7 * before["l1_affine"]


def test_all_else_stays_bit_for_bit(trained):
    first, last, _ = trained
    for name in ("params", "batch_stats", "ema_params"):
        before, after = getattr(first, name), getattr(last, name)
        for part in before:
            same = jax.tree.leaves(jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), before[part], after[part]))
            assert all(same) == (part != "motion_estimator"), (name, part)


def test_devices_share_the_batch(trained, batch):
    _, _, [two] = take_steps(batch, 1, devices=2)
    for name, value in trained[2][0].items():
        np.testing.assert_allclose(value, two[name], rtol=1e-4)
