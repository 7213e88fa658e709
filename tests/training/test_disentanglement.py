"""The disentangler's training: its losses, what it learns, and what it leaves alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import random_frames, tiny_avd_config, tiny_avd_variables

from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.training import samples
from motion_transformer_jax.training.disentanglement import (
    create_disentanglement_eval_step,
    create_disentanglement_step,
    sample_factors,
    stretch,
)
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.state import TrainState, with_fresh_average

NUM_STEPS = 90
BATCH = {name: random_frames(32, seed=seed) for seed, name in enumerate(("source", "driving"))}


def ema_config():
    config = tiny_avd_config()
    config.optimizer.ema_decay = 0.9
    config.loss.disentangled_affine = 2.0
    config.loss.disentangled_scale = 0.5
    config.augmentation.time_flip = False  # one batch, always the same
    return config


def create_state(config, optimizer):
    variables = tiny_avd_variables()
    state = TrainState(jnp.int32(0), **variables, opt_state=optimizer.init(variables["params"]))
    return with_fresh_average(state)


@dataclasses.dataclass
class Run:
    """States by the number of steps before them: the first two and the last; metrics of each step."""

    states: dict[int, TrainState]
    metrics: list[dict[str, np.ndarray]]


def run(num_steps: int, devices: int) -> Run:
    """Steps on one batch, always the same."""
    config, mesh = ema_config(), create_mesh(jax.devices()[:devices])
    optimizer = create_configured_optimizer(config, milestone_steps=())
    step = create_disentanglement_step(config, optimizer, mesh)
    state, batch = replicate(create_state(config, optimizer), mesh), shard_batch(BATCH, mesh)
    done = Run({0: snapshot(state)}, [])
    for number in range(1, num_steps + 1):
        state, terms = step(state, batch)
        done.metrics.append(jax.device_get(terms))
        if number in (1, num_steps):
            done.states[number] = snapshot(state)
    return done


def snapshot(state: TrainState) -> TrainState:
    return jax.tree.map(np.array, state)  # copies: the step gives its arguments' memory away


@pytest.fixture(scope="module")
def trained():
    return run(NUM_STEPS, devices=1)


@pytest.fixture(scope="module")
def validate():
    return create_disentanglement_eval_step(ema_config())


def test_losses_fall(trained):
    metrics = trained.metrics
    losses = {"total", "disentangled_keypoints", "disentangled_affine"}
    names = losses | {"gradient_norm/disentangler", "update/skipped"}
    assert all(terms.keys() == names for terms in metrics)
    assert {(value.shape, value.dtype.name) for value in metrics[0].values()} == {((), "float32")}
    for name in losses:
        assert np.mean([terms[name] for terms in metrics[-10:]]) < 0.5 * np.mean([terms[name] for terms in metrics[:3]])
    for terms in metrics:
        np.testing.assert_allclose(
            terms["total"], terms["disentangled_keypoints"] + terms["disentangled_affine"], rtol=1e-6
        )


def test_stretched_poses_are_mended(trained, validate):
    """Other stretches than those of the training; the disentangler normalises by its running statistics."""
    states = trained.states[0], trained.states[NUM_STEPS]
    before, after = (jax.device_get(validate(state.inference_variables(), BATCH)) for state in states)
    assert after["l1_stretched"] == before["l1_stretched"] and before["l1"] > before["l1_stretched"]
    assert after["l1"] < 0.7 * after["l1_stretched"]
    assert after["l1_affine"] < 0.7 * after["l1_affine_stretched"]


def test_all_else_stays_bit_for_bit(trained):
    first, last = trained.states[0], trained.states[NUM_STEPS]
    assert last.step == NUM_STEPS
    for name in ("params", "batch_stats", "ema_params"):
        before, after = getattr(first, name), getattr(last, name)
        assert before.keys() == after.keys() > {"disentangler", "generator"}
        for part in before:
            same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), before[part], after[part])
            assert not any(jax.tree.leaves(same)) if part == "disentangler" else all(jax.tree.leaves(same)), part


def test_only_the_disentangler_has_moments(trained):
    last = trained.states[NUM_STEPS]
    sizes = [leaf.size for leaf in jax.tree.leaves(last.opt_state)]
    own = sum(leaf.size for leaf in jax.tree.leaves(last.params["disentangler"]))
    assert 2 * own <= sum(sizes) < 2 * own + 5


def test_devices_share_the_batch(trained):
    """Two devices take the step of one: statistics over the whole batch, gradients averaged, the same stretches."""
    two = run(1, devices=2)
    for name, value in trained.metrics[0].items():
        np.testing.assert_allclose(value, two.metrics[0][name], rtol=1e-4)
    stats = (done.states[1].batch_stats["disentangler"] for done in (trained, two))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *stats)


def test_stretch_is_a_diagonal_matrix():
    keypoints, affine = jnp.asarray([[[0.5, -0.2]], [[1.0, 1.0]]]), jnp.asarray([[[[1.0, 2.0], [3.0, 4.0]]]] * 2)
    factors = jnp.asarray([[1.25, 0.75], [0.5, 2.0]])
    stretched = stretch(Motion(keypoints, affine, affine), factors)
    np.testing.assert_allclose(stretched.keypoints, [[[0.625, -0.15]], [[0.5, 2.0]]], rtol=1e-6)
    for matrix, factor, given in zip(stretched.affine[:, 0], factors, affine[:, 0], strict=True):
        np.testing.assert_allclose(matrix, np.diag(factor) @ given, rtol=1e-6)
    assert stretched.covariance is None


def test_factors_are_uniform_and_each_examples_own():
    config = tiny_avd_config()
    config.loss.disentangled_scale = 0.4
    factors = np.asarray(sample_factors(config, "stretch", 3, 2000, None))
    assert factors.shape == (2000, 2) and factors.min() >= 0.6 and factors.max() <= 1.4
    np.testing.assert_allclose(factors.mean(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(factors.std(axis=0), 0.8 / np.sqrt(12), atol=0.01)
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1 and len(np.unique(factors)) > 3900
    for other in (sample_factors(config, "stretch", 4, 2000, None), sample_factors(config, "else", 3, 2000, None)):
        assert not np.any(factors == other)


def test_validation_shows_figures_in_the_poses_of_others(trained, monkeypatch):
    mesh, drawn = create_mesh(jax.devices()[:1]), []
    draw = samples.draw_generations
    monkeypatch.setattr(samples, "draw_generations", lambda *arguments: drawn.append(arguments) or draw(*arguments))
    validation = samples.Validation(ema_config(), mesh, [BATCH])
    states = [replicate(trained.states[number], mesh) for number in (0, NUM_STEPS)]
    assert validation.measure(states[1]).keys() == {
        f"validation/{name}" for name in ("l1", "l1_stretched", "l1_affine", "l1_affine_stretched")
    }
    before, after = map(validation.draw, states)
    assert after.dtype == np.uint8 and np.any(after != before)  # by the disentangler, which alone has changed
    source, driving, generation = drawn[1]
    np.testing.assert_array_equal(source, BATCH["source"][:4])
    np.testing.assert_array_equal(driving, BATCH["driving"][[3, 0, 1, 2]])
    assert generation.prediction.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(generation.driving_motion.keypoints, drawn[0][2].driving_motion.keypoints)
