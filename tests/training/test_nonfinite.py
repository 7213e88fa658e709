"""Skipped steps: what is kept, when they are too many, and the dump that takes one again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax import train
from motion_transformer_jax.configs import demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.finite import SKIPPED, check_finite
from motion_transformer_jax.training.loop import create_step
from motion_transformer_jax.training.nonfinite import BadStep, NonFiniteGuard, dump_step, load_batch
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh, replicate, shard_batch
from motion_transformer_jax.training.replay import replay
from motion_transformer_jax.training.state import TrainState, create_train_state, with_fresh_average
from motion_transformer_jax.training.step import apply_gradients, update_part


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["total", "gradient_norm/generator"])
def test_metrics_that_are_not_finite(value, name):
    metrics = {"total": jnp.float32(1), "gradient_norm/generator": jnp.float32(2)}
    finite, told = check_finite(metrics)
    assert finite and told == {**metrics, SKIPPED: 0}
    finite, told = check_finite(metrics | {name: jnp.float32(value)})
    assert not finite and told[SKIPPED] == 1


@pytest.mark.parametrize("whole", [True, False])
def test_nothing_but_the_step_changes_where_values_are_not_finite(whole):
    """Neither by an update of all parts nor by one of a single part."""
    config = demo.get_config("debug")
    config.optimizer.ema_decay = 0.5
    optimizer = create_configured_optimizer(config, milestone_steps=())
    params = {"generator": {"kernel": jnp.ones(2)}, "motion_estimator": {"kernel": -jnp.zeros(2)}}
    before = TrainState(jnp.int32(4), params, {"generator": {"mean": jnp.zeros(2)}}, optimizer.init(params))
    before = with_fresh_average(before)

    def update(state, value, finite):
        if whole:
            gradients = jax.tree.map(lambda x: x * value, jax.tree.map(jnp.ones_like, params))
            statistics = {"generator": {"mean": jnp.full(2, value)}}
            return apply_gradients(config, optimizer, state, gradients, statistics, finite=finite)
        own = {"kernel": jnp.full(2, value)}, {"mean": jnp.full(2, value)}
        return update_part(config, optimizer, state, "generator", *own, finite=finite)

    after = jax.jit(update)(before, jnp.float32(np.nan), jnp.bool(False))
    assert_identical(after, before.replace(step=before.step + 1))
    moved = jax.jit(update)(before, jnp.float32(1), jnp.bool(True))
    assert int(moved.step) == 5
    assert np.all(moved.params["generator"]["kernel"] < 1) and np.all(moved.batch_stats["generator"]["mean"] == 1)
    assert np.all(moved.ema_params["generator"]["kernel"] < 1)
    if not whole:
        assert_identical(moved.params["motion_estimator"], before.params["motion_estimator"])


def assert_identical(actual, expected):
    """Signs of zeros included."""
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.signbit(a), np.signbit(b)), actual, expected)


def count(guard, skipped):
    """Steps at which a guard speaks up; each hears of the steps two later."""
    told = [guard.add(i, {}, {SKIPPED: jnp.float32(s), "total": jnp.float32(s)}) for i, s in enumerate(skipped, 1)]
    return [bad.step for bad in [*told, guard.finish()] if bad is not None]


@pytest.mark.parametrize(
    ("skipped", "told"),
    [([0, 1, 1, 0, 1, 1, 0], []), ([1, 1, 1, 0, 0, 0, 0], [3]), ([0, 0, 1, 1, 1], [5]), ([1] * 5, [3, 4])],
)
def test_guard_counts_in_a_row(skipped, told):
    assert count(NonFiniteGuard(3), skipped)[:2] == told


def test_diagnosis_names_losses_and_parts():
    nan = float("nan")
    values = {"total": nan, "perceptual": nan, "equivariance": 1.0, "gradient_norm/generator": nan, SKIPPED: 1.0}
    assert BadStep(7, {}, values).diagnosis() == "loss perceptual nan; gradients of generator"
    assert BadStep(7, {}, {"total": float("inf"), SKIPPED: 1.0}).diagnosis() == "total loss inf"


@pytest.mark.slow
def test_a_dumped_step_is_taken_again(tmp_path, capsys):
    """Real training steps on 8 devices, of a model with NaN in it and of a sound one; then `train --replay` on one."""
    config = demo.get_config("debug")
    mesh, optimizer = create_mesh(), create_configured_optimizer(config, milestone_steps=())
    sound = jax.device_get(create_train_state(config, optimizer).replace(step=jnp.int32(3)))
    poison = jax.tree.map(lambda x: x * np.float32(np.nan), sound.params["generator"])
    poisoned = sound.replace(params=sound.params | {"generator": poison})
    size = config.model.image_size
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, size, size, 3), np.uint8)
    batch = shard_batch({"source": frames[0], "driving": frames[1]}, mesh)
    step = create_step(config, optimizer, mesh)

    def replayed(state, name):
        """What `train --replay` prints of a step, and what the step told."""
        state, metrics = step(replicate(state, mesh), batch)
        values = {name: float(value) for name, value in metrics.items()}
        folder = dump_step(tmp_path / name, config, state, BadStep(4, batch, values))
        np.testing.assert_array_equal(load_batch(folder)["driving"], frames[1])
        assert train.main(["--replay", str(folder)]) is None
        printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
        return {name: float(text) for name, text in printed.items()}, values, state

    printed, values, after = replayed(poisoned, "poisoned")
    assert np.isnan(printed["total"]) and printed[SKIPPED] == values[SKIPPED] == 1 and int(after.step) == 4
    assert_identical(jax.device_get(after), poisoned.replace(step=after.step))
    printed, values, _ = replayed(sound, "sound")
    assert printed[SKIPPED] == 0 and np.isfinite(list(printed.values())).all() and printed.keys() == values.keys()


def test_replay_of_a_folder_without_a_dump(tmp_path):
    with pytest.raises(UserError, match=r"batch\.npz cannot be read .* expected the folder WORKDIR/nonfinite"):
        replay(tmp_path)
