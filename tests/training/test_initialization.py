"""What a new run starts from."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.configs import base, demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.state_dict import state_dicts_from_variables
from motion_transformer_jax.training import checkpoint
from motion_transformer_jax.training.checkpoint import variable_shapes
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.initialization import with_initial_weights
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.state import TrainState, with_fresh_average, without_discriminator


def make_state(value, *parts, width=3, ema=None):
    """Every part has a kernel; all but the disentangler have statistics."""
    params = {part: {"conv": {"kernel": jnp.full((2, width), value)}} for part in parts}
    stats = {part: {"norm": {"mean": jnp.full(width, value)}} for part in parts if part != "disentangler"}
    state = TrainState(jnp.int32(7), params, stats, {"count": jnp.int32(7)})
    if ema is None:
        return state
    averaged = jax.tree.map(lambda x: jnp.full_like(x, ema), without_discriminator({"p": params, "s": stats}))
    return state.replace(ema_params=averaged["p"], ema_batch_stats=averaged["s"])


@pytest.fixture
def save_run(tmp_path, monkeypatch):
    """Saves a state as the newest checkpoint of a run; returns the run's folder."""

    def save(state):
        config = base.get_config()
        config.optimizer.ema_decay = 0.0 if state.ema_params is None else 0.9
        folder = tmp_path / "run"
        folder.mkdir()
        save_config(folder, config)
        model = without_discriminator({"params": state.params, "batch_stats": state.batch_stats})
        monkeypatch.setattr(checkpoint, "variable_shapes", lambda config: model)
        with CheckpointStore(folder, keep_last=1) as store:
            store.save(6, jax.tree.map(jnp.zeros_like, state), {})
            store.save(7, state, {})
        return folder

    return save


def config_from(folder, objective="reconstruction"):
    config = base.get_config()
    config.train.update(init_from=str(folder), objective=objective)
    return config


def values(tree):
    """{part: the value that all its arrays have}."""
    return {
        part: float(np.unique(np.concatenate([x.ravel() for x in jax.tree.leaves(t)]))[0]) for part, t in tree.items()
    }


def test_nothing_is_named():
    state = make_state(1.0, "generator")
    assert with_initial_weights(base.get_config(), state) is state


def test_shared_parts_are_taken_over(save_run, caplog):
    """Parts that only the config has are drawn anew, parts that only the run has are left; said in one line."""
    run = save_run(make_state(5.0, "generator", "motion_estimator", "background_predictor", "discriminator"))
    fresh = make_state(1.0, "generator", "motion_estimator", "disentangler", "discriminator")
    with caplog.at_level(logging.INFO, logger="motion_transformer_jax"):
        state = with_initial_weights(config_from(run), fresh)
    expected = {"generator": 5.0, "motion_estimator": 5.0, "discriminator": 5.0}
    assert values(state.params) == expected | {"disentangler": 1.0}
    assert values(state.batch_stats) == expected
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    assert state.opt_state is fresh.opt_state and state.step is fresh.step
    (line,) = (record.message for record in caplog.records if record.name.endswith("initialization"))
    assert line == (
        f"starting from {run}: generator, motion_estimator, discriminator; "
        "drawn anew: disentangler; not used: background_predictor"
    )


def test_averaged_weights_are_taken_and_averaged_on(save_run):
    """The discriminator has no average."""
    run = save_run(make_state(5.0, "generator", "discriminator", ema=4.0))
    state = with_initial_weights(config_from(run), make_state(1.0, "generator", "discriminator", ema=1.0))
    assert values(state.params) == {"generator": 4.0, "discriminator": 5.0}
    assert values(state.ema_params) == {"generator": 4.0}
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((state.params, state.ema_params))]
    assert len(set(pointers)) == len(pointers)  # a donated buffer may be given once


def test_a_part_of_another_shape(save_run):
    run = save_run(make_state(5.0, "generator"))
    with pytest.raises(UserError, match=r"run has .*generator/.* of shape .*3.* but .*4.*; choose a run of") as error:
        with_initial_weights(config_from(run), make_state(1.0, "generator", width=4))
    assert "\n" not in str(error.value)


def test_a_part_with_other_layers(save_run):
    run = save_run(make_state(5.0, "motion_estimator"))
    state = make_state(1.0, "motion_estimator")
    state.params["motion_estimator"]["head"] = {"bias": jnp.zeros(2)}
    with pytest.raises(UserError, match="has no params/motion_estimator/head/bias, which the config's model has"):
        with_initial_weights(config_from(run), state)


def test_a_disentangler_needs_all_other_parts(save_run):
    config = config_from(save_run(make_state(5.0, "generator")), "disentanglement")
    fresh = make_state(1.0, "generator", "disentangler")
    assert values(with_initial_weights(config, fresh).params) == {"generator": 5.0, "disentangler": 1.0}
    fresh = make_state(1.0, "generator", "motion_estimator", "dense_motion", "disentangler")
    with pytest.raises(UserError, match="has no dense_motion, motion_estimator, which a disentangler is trained upon"):
        with_initial_weights(config, fresh)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json in .*; expected the folder of a training run"):
        with_initial_weights(config_from(tmp_path), make_state(1.0, "generator"))


def test_a_backbone_starts_from_its_own_file(tmp_path):
    """Only the backbone changes, and the averages with it. A stem stands for an HRNet here: their files are alike."""
    torch = pytest.importorskip("torch")
    config = demo.get_config("debug")
    template = variable_shapes(config)
    fresh, trained = (jax.tree.map(lambda x, value=value: jnp.full(x.shape, value), template) for value in (1.0, 2.0))
    tensors = state_dicts_from_variables(jax.device_get(trained))["kp_detector"]
    file = tmp_path / "hrnet.pth"
    torch.save({key.removeprefix("features."): torch.tensor(array) for key, array in tensors.items()}, file)
    config.train.backbone_path = str(file)
    state = with_fresh_average(TrainState(jnp.int32(0), **fresh, opt_state=()))
    state = with_initial_weights(config, state)
    for tree in (state.params, state.batch_stats, state.ema_params, state.ema_batch_stats):
        estimator = dict(tree["motion_estimator"])
        assert {float(x.max()) for x in jax.tree.leaves(estimator.pop("backbone"))} == {2.0}
        rest = {**tree, "motion_estimator": estimator}
        assert {float(x.max()) for x in jax.tree.leaves(rest)} == {1.0}


def test_settings_that_no_shape_tells(save_run, caplog):
    """A warning where all is trained on; a refusal where the frozen parts would be run otherwise than trained."""
    run = save_run(make_state(5.0, "generator"))
    config = config_from(run)
    config.transformer.heads = 4
    config.keypoint_detector.padding = 3  # of another system: it does not matter
    with_initial_weights(config, make_state(1.0, "generator"))
    assert "(transformer.heads is 4 and was 8); to keep them pass --config.transformer.heads=8" in caplog.text
    config.train.objective = "disentanglement"
    with pytest.raises(UserError, match=r"transformer.heads is 4 and was 8\); pass --config.transformer.heads=8"):
        with_initial_weights(config, make_state(1.0, "generator", "disentangler"))
    config.model.estimator = "region_predictor"
    with pytest.raises(UserError, match="holds a motion_transformer and the config has a region_predictor"):
        with_initial_weights(config, make_state(1.0, "generator"))
