import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from motion_transformer_jax.configs import demo
from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.reduction import tree_norm
from motion_transformer_jax.training.finite import check_finite
from motion_transformer_jax.training.optimizer import create_configured_optimizer, create_optimizer, ema_update
from motion_transformer_jax.training.state import TrainState
from motion_transformer_jax.training.step import apply_gradients

PARTS = ("motion_estimator", "generator", "background_predictor")
SETTINGS = {
    "learning_rates": dict.fromkeys(PARTS, 2e-4),
    "clip_norms": {},
    "milestones_steps": (3,),
    "gamma": 0.1,
    "b1": 0.5,
    "b2": 0.999,
}


def steps(optimizer, params, gradients):
    """Parameters after each step."""
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        yield params


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-7), ("float64", 1.3e-7)])
@pytest.mark.parametrize(("name", "max_norm"), [("clip0", None), ("clip1", 1.0)])
def test_steps_are_pytorchs(name, max_norm, dtype, tolerance, golden):
    """Adam, a milestone after three steps, and clipping of both tensors together."""
    recorded = golden("optim")
    with jax.enable_x64(dtype == "float64"):

        def tree(select):
            return {"motion_estimator": {k: jnp.asarray(select(k).astype(dtype)) for k in "ab"}}

        optimizer = create_optimizer(**SETTINGS | {"clip_norms": {"motion_estimator": max_norm}})
        params = tree(lambda k: recorded[f"p0_{k}"])
        gradients = [tree(lambda k, i=i: recorded[f"grads_{k}"][i]) for i in range(5)]
        for i, after in enumerate(steps(optimizer, params, gradients)):
            for k, value in after["motion_estimator"].items():
                assert value.dtype == dtype
                expected = recorded[f"{name}__params_after_each_step_{k}"][i]
                np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance)


@pytest.fixture
def params():
    names = ("motion_estimator", "dense_motion", "generator", "background_predictor")
    return {name: {"kernel": jnp.zeros(3)} for name in names}


@pytest.mark.optimized
def test_moments_are_replaced_where_they_lie_on_cpu():
    """By a step that is taken back where a value is not finite."""
    optimizer = create_optimizer(**SETTINGS)
    params = {"generator": {"kernel": jnp.zeros((64, 64))}}
    state = TrainState(jnp.int32(0), params, {}, optimizer.init(params))

    def step(state, gradients):
        finite, _ = check_finite({"norm": tree_norm(gradients)})
        return apply_gradients(demo.get_config(), optimizer, state, gradients, {}, finite=finite)

    program = jax.jit(step, donate_argnums=0, compiler_options=compiler_options()).lower(state, params).compile()
    assert program.memory_analysis().alias_size_in_bytes >= 3 * params["generator"]["kernel"].nbytes
    assert not re.search(r"f32\[64,64\]\S* copy\(", program.as_text())
    loops = re.findall(r"= f32\[64,64\]\S* fusion\(", program.as_text())
    assert len(loops) == 3  # of both moments and of the parameters: what is kept is chosen on the way


def test_state_is_kept_where_values_are_not_finite(params):
    optimizer = create_optimizer(**SETTINGS)
    gradients = jax.tree.map(jnp.ones_like, params)
    _, state = optimizer.update(gradients, optimizer.init(params), params)
    nan = jax.tree.map(lambda x: x * jnp.nan, gradients)
    _, kept = jax.jit(optimizer.update)(nan, state, params, finite=jnp.bool(False))
    jax.tree.map(np.testing.assert_array_equal, kept, state)
    _, moved = jax.jit(optimizer.update)(gradients, state, params, finite=jnp.bool(True))
    assert all(np.any(a != b) for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(state), strict=True))


def test_each_part_has_its_own_learning_rate(params):
    """Adam's first step is the learning rate times the gradient's sign."""
    rates = {"motion_estimator": 1e-3, "generator": 2e-3, "background_predictor": 3e-3}
    optimizer = create_optimizer(**SETTINGS | {"learning_rates": rates})
    (after,) = steps(optimizer, params, [jax.tree.map(jnp.ones_like, params)])
    moved = {name: -part["kernel"][0] for name, part in after.items()}
    assert moved["motion_estimator"] == pytest.approx(1e-3, rel=1e-4)
    assert moved["dense_motion"] == pytest.approx(2e-3, rel=1e-4)
    assert moved["generator"] == pytest.approx(2e-3, rel=1e-4)
    assert moved["background_predictor"] == pytest.approx(3e-3, rel=1e-4)


def first_moments(optimizer, gradients):
    """Adam's first moments after one step, over 1 - b1: the gradients that Adam was given."""
    _, state = optimizer.update(gradients, optimizer.init(gradients), gradients)
    seen = {}
    for part in state.inner_states.values():
        mu = optax.tree.get(part, "mu")
        seen |= {k: v["kernel"] / 0.5 for k, v in mu.items() if "kernel" in v}
    return seen


def test_each_part_is_clipped_by_its_own_norm(params):
    gradients = {
        "motion_estimator": {"kernel": jnp.asarray([3.0, 0.0, 4.0])},
        "dense_motion": {"kernel": jnp.asarray([6.0, 0.0, 0.0])},
        "generator": {"kernel": jnp.asarray([0.0, 8.0, 0.0])},
        "background_predictor": {"kernel": jnp.asarray([0.0, 0.0, 100.0])},
    }
    optimizer = create_optimizer(**SETTINGS | {"clip_norms": {"motion_estimator": 10.0, "generator": 1.0}})
    seen = first_moments(optimizer, gradients)
    np.testing.assert_allclose(seen["motion_estimator"], [3, 0, 4], rtol=1e-6)
    np.testing.assert_allclose(seen["dense_motion"], [0.6, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(seen["generator"], [0, 0.8, 0], rtol=1e-6)
    np.testing.assert_allclose(seen["background_predictor"], [0, 0, 100], rtol=1e-6)


def test_milestones_multiply_the_learning_rate(params):
    """Constant gradients move parameters by the learning rate; a milestone given twice counts."""
    optimizer = create_optimizer(**SETTINGS | {"milestones_steps": (1, 3, 3)})
    gradients = [jax.tree.map(jnp.ones_like, params)] * 4
    path = [0.0] + [float(p["generator"]["kernel"][0]) for p in steps(optimizer, params, gradients)]
    np.testing.assert_allclose(-np.diff(path), [2e-4, 2e-5, 2e-5, 2e-7], rtol=1e-2)


def test_no_milestones(params):
    optimizer = create_optimizer(**SETTINGS | {"milestones_steps": ()})
    (after,) = steps(optimizer, params, [jax.tree.map(jnp.ones_like, params)])
    assert after["generator"]["kernel"][0] == pytest.approx(-2e-4, rel=1e-4)


def test_parts_may_be_absent(params):
    del params["background_predictor"]
    (after,) = steps(create_optimizer(**SETTINGS), params, [jax.tree.map(jnp.ones_like, params)])
    assert set(after) == {"motion_estimator", "dense_motion", "generator"}


def test_a_part_without_a_rate_is_frozen(params):
    rates = {"motion_estimator": None, "generator": 1e-3, "background_predictor": None}
    optimizer = create_optimizer(**SETTINGS | {"learning_rates": rates})
    (after,) = steps(optimizer, params, [jax.tree.map(jnp.ones_like, params)])
    moved = {name for name, part in after.items() if part["kernel"][0] != 0}
    assert moved == {"dense_motion", "generator"}
    kept = [leaf.size for leaf in jax.tree.leaves(optimizer.init(params))]
    assert sum(kept) == 2 * (3 + 3) + len([size for size in kept if size == 1])  # two moments each, and counts


@pytest.mark.parametrize("objective", ["reconstruction", "disentanglement"])
def test_each_objective_trains_its_own_parts(params, objective):
    """The disentangler by one of them, all else by the other."""
    config = demo.get_config("mraa_avd,debug")
    config.train.objective = objective
    config.discriminator.enabled = True
    params |= {name: {"kernel": jnp.zeros(3)} for name in ("discriminator", "disentangler")}
    optimizer = create_configured_optimizer(config, milestone_steps=())
    (after,) = steps(optimizer, params, [jax.tree.map(jnp.ones_like, params)])
    moved = {name for name, part in after.items() if part["kernel"][0] != 0}
    assert moved == ({"disentangler"} if objective == "disentanglement" else params.keys() - {"disentangler"})
    assert after["disentangler"]["kernel"][0] == (
        pytest.approx(-1e-3, rel=1e-4) if objective == "disentanglement" else 0
    )


def test_refuses_unknown_parts_and_parts_without_a_rate(params):
    with pytest.raises(ValueError, match=r"unknown parts \['decoder'\]; expected some of"):
        create_optimizer(**SETTINGS | {"clip_norms": {"decoder": 1.0}})
    optimizer = create_optimizer(**SETTINGS | {"learning_rates": {"generator": 1e-3}})
    with pytest.raises(ValueError, match=r"no learning rate for .*'motion_estimator'"):
        optimizer.init(params)


def test_ema_update():
    ema, params = {"a": jnp.asarray([1.0]), "b": jnp.asarray([0.0])}, {"a": 2.0, "b": 1.0}
    averaged = jax.jit(ema_update)(ema, params, 0.9)
    np.testing.assert_allclose(averaged["a"], [1.1], rtol=1e-6)
    np.testing.assert_allclose(averaged["b"], [0.1], rtol=1e-6)


def test_clipping_divides_by_the_norm_plus_pytorchs_epsilon():
    gradients = {"generator": {"kernel": jnp.asarray([1e-6, 0.0])}}
    optimizer = create_optimizer(**SETTINGS | {"clip_norms": {"generator": 1e-6}})
    np.testing.assert_allclose(first_moments(optimizer, gradients)["generator"], [5e-7, 0], rtol=1e-5)
