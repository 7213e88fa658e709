"""Both kinds of training see augmented frames, the same ones on any number of devices; the model is left out."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_model import random_frames

from motion_transformer_jax.configs import demo
from motion_transformer_jax.data.augment import Augmentation, augment_pair
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.training import disentanglement, step
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.randomness import example_keys
from motion_transformer_jax.training.state import DISENTANGLER, TrainState

BATCH = {name: random_frames(8, 8, 8, seed=seed) for seed, name in enumerate(("source", "driving"))}
STEP = 5
CHANGES = dict(horizontal_flip=True, time_flip=True, brightness=0.5)


def weighted_mean(frame):
    """A number that tells a frame from its mirror image."""
    return jnp.mean(frame * jnp.linspace(0, 1, frame[0].size).reshape(frame[0].shape))


def compute_gradients(config, model, params, batch_stats, vgg_params, source, driving, transform, driving_joints):
    return (
        jax.tree.map(jnp.zeros_like, params),
        batch_stats,
        dict(source=weighted_mean(source), driving=weighted_mean(driving)),
    )


def estimate_pair(model, variables, source, driving):
    pair = (jnp.full((1, 1, 2), weighted_mean(frame)) for frame in (source, driving))
    return tuple(Motion(keypoints, jnp.eye(2)[None, None]) for keypoints in pair)


def disentangle(variables, source, stretched, method, mutable):
    return source, {"batch_stats": {DISENTANGLER: {}}}


def disentanglement_losses(config, driving, motion):
    return {"source": jnp.mean(motion.keypoints), "driving": jnp.mean(driving.keypoints)}


@pytest.fixture
def without_models(monkeypatch):
    monkeypatch.setattr(step, "compute_gradients", compute_gradients)
    monkeypatch.setattr(disentanglement, "estimate_pair", estimate_pair)
    monkeypatch.setattr(disentanglement, "disentanglement_losses", disentanglement_losses)
    model = types.SimpleNamespace(apply=disentangle)
    monkeypatch.setattr(disentanglement, "create_animation_model", lambda *_, **__: model)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("objective", ["reconstruction", "disentanglement"])
def test_steps_augment(objective, devices, without_models):
    config, mesh = demo.get_config("debug"), create_mesh(jax.devices()[:devices])
    config.optimizer.ema_decay = 0.0
    config.augmentation.update(CHANGES)
    optimizer, params = optax.sgd(0.0), {DISENTANGLER: {"bias": jnp.zeros(1)}}
    state = TrainState(jnp.int32(STEP), params, {DISENTANGLER: {}}, optimizer.init(params))
    if objective == "disentanglement":
        train_step = disentanglement.create_disentanglement_step(config, optimizer, mesh)
    else:
        train_step = step.create_train_step(config, optimizer, mesh, {})
    _, metrics = train_step(replicate(state, mesh), shard_batch(BATCH, mesh))

    keys = example_keys(config.seed, "augmentation", STEP, 8, None)
    frames = (jnp.float32(BATCH[name]) / 255 for name in ("source", "driving"))
    source, driving = jax.jit(augment_pair, static_argnums=3)(keys, *frames, Augmentation(**CHANGES))
    np.testing.assert_allclose(metrics["source"], weighted_mean(source), rtol=1e-5)
    np.testing.assert_allclose(metrics["driving"], weighted_mean(driving), rtol=1e-5)
    assert abs(weighted_mean(source) - weighted_mean(jnp.float32(BATCH["source"]) / 255)) > 1e-3


def test_validation_takes_frames_as_they_are(monkeypatch):
    config = demo.get_config("debug")
    config.augmentation.update(CHANGES)
    copies = types.SimpleNamespace(apply=lambda variables, source, driving: types.SimpleNamespace(prediction=driving))
    monkeypatch.setattr(step, "create_animation_model", lambda config: copies)
    metrics = step.create_eval_step(config)({}, BATCH)
    source, driving = (np.float32(BATCH[name]) / 255 for name in ("source", "driving"))
    np.testing.assert_allclose(metrics["l1_copy_source"], np.mean(np.abs(source - driving)), rtol=1e-5)
    assert metrics["l1"] == 0
