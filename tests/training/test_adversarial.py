"""Training against a discriminator, beyond what the recorded run of FOMM shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.configs import demo
from motion_transformer_jax.models.animation_model import create_discriminator
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.training.adversarial import discriminator_loss, generator_losses
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.state import create_train_state, without_discriminator
from motion_transformer_jax.training.step import create_train_step


@pytest.fixture(scope="module")
def config():
    config = demo.get_config("fomm_adv,debug")
    config.discriminator.spectral_norm = True
    return config


@pytest.fixture(scope="module")
def judged(config):
    """Arguments of the losses: the discriminator's variables, prediction, driving frame, keypoints."""
    prediction, driving = jax.random.uniform(jax.random.key(1), (2, 2, 32, 32, 3))
    keypoints = jnp.zeros((2, config.model.num_keypoints, 2))
    return create_discriminator(config).init(jax.random.key(0), driving, keypoints), prediction, driving, keypoints


def test_the_generator_is_told_nothing_through_the_keypoints(config, judged):
    def loss(prediction, keypoints):
        terms, _ = generator_losses(config, judged[0], prediction, judged[2], keypoints)
        return sum(terms.values())

    to_prediction, to_keypoints = jax.jit(jax.grad(loss, argnums=(0, 1)))(judged[1], judged[3])
    assert jnp.any(to_prediction != 0)
    assert jnp.all(to_keypoints == 0)


def test_the_discriminator_teaches_only_itself(config, judged):
    variables, prediction, driving, keypoints = judged

    def loss(params, prediction):
        return discriminator_loss(config, {**variables, "params": params}, prediction, driving, keypoints)[0]

    to_params, to_prediction = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables["params"], prediction)
    assert jnp.all(to_prediction == 0)
    assert jnp.any(to_params["scale_1"]["head"]["kernel"] != 0)


@pytest.mark.slow
def test_a_step_moves_both_sides(config):
    optimizer = create_configured_optimizer(config, milestone_steps=())
    config = config.copy_and_resolve_references()
    config.optimizer.ema_decay = 0.9
    start = create_train_state(config, optimizer)
    mesh = create_mesh(jax.devices()[:1])
    step = create_train_step(config, optimizer, mesh, random_vgg19(0, num_taps=2))
    frames = np.random.default_rng(0).integers(0, 255, (2, 8, 32, 32, 3), np.uint8)
    batch = shard_batch({"source": frames[0], "driving": frames[1]}, mesh)
    state, metrics = step(replicate(jax.device_get(start), mesh), batch)
    assert {"adversarial", "feature_matching", "discriminator", "gradient_norm/discriminator"} < metrics.keys()
    parts = {"total", "discriminator"} | {name for name in metrics if name.startswith("gradient_norm")}
    np.testing.assert_allclose(metrics["total"], sum(metrics[name] for name in metrics.keys() - parts), rtol=1e-5)
    for part, tree in state.params.items():
        moved = [np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (tree, start.params[part])), strict=True)]
        assert max(moved) > 1e-5, part
    vector = ("discriminator", "scale_1", "block_0_conv", "u")
    before, after = start.batch_stats, state.batch_stats
    for name in vector:
        before, after = before[name], after[name]
    assert not np.allclose(before, after)
    assert "discriminator" not in state.ema_params
    assert state.inference_variables().keys() == without_discriminator(state.inference_variables()).keys()
