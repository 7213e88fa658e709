"""Checkpoints: round trips, what is kept, and folders that cannot be used."""

import errno
import json
import os
import shutil
import subprocess
import sys

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from motion_transformer_jax.configs import base
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training import checkpoint, checkpoint_store
from motion_transformer_jax.training.checkpoint import has_checkpoint, load_variables
from motion_transformer_jax.training.checkpoint_files import BEST_METRIC
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.saved_config import check_resumable, config_changes, load_config, save_config

TRANSFORM = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))


@flax.struct.dataclass
class State:
    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: object
    ema_params: dict | None
    ema_batch_stats: dict | None


def make_state(width=4, *, seed=0, ema=False, devices=1):
    key = jax.random.key(seed)
    params = {"generator": {"conv": {"kernel": jax.random.normal(key, (3, width)), "bias": jnp.zeros(width)}}}
    batch_stats = {"generator": {"norm": {"mean": jnp.full(width, 2.0)}}}
    state = State(
        step=jnp.int32(seed),
        params=params,
        batch_stats=batch_stats,
        opt_state=TRANSFORM.init(params),
        ema_params=jax.tree.map(lambda x: x + 100.0, params) if ema else None,
        ema_batch_stats=jax.tree.map(lambda x: x + 100.0, batch_stats) if ema else None,
    )
    mesh = jax.make_mesh((devices,), ("data",))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def steps_in(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """The states above are of no real model; `test_resume.py` loads one."""
    state = make_state()
    shapes = {"params": state.params, "batch_stats": state.batch_stats}
    monkeypatch.setattr(checkpoint, "variable_shapes", lambda config: shapes)


@pytest.fixture
def run_folder(tmp_path):
    """A run with checkpoints at steps 1 and 2."""
    config = base.get_config()
    save_config(tmp_path, config)
    with CheckpointStore(tmp_path, keep_last=3) as store:
        for step in (1, 2):
            store.save(step, make_state(seed=step), {"data": step}, {BEST_METRIC: float(step)})
    return tmp_path


def test_round_trip(tmp_path):
    state = make_state(seed=7)
    with CheckpointStore(tmp_path, keep_last=3) as store:
        assert store.restore_latest(state) is None
        store.save(7, state, {"data": {"position": [1, 2]}})
    with CheckpointStore(tmp_path, keep_last=3) as store:
        step, restored, progress = store.restore_latest(make_state(seed=0))
    assert step == 7 and progress == {"data": {"position": [1, 2]}}
    assert_same(restored, state)


def test_whether_there_is_a_checkpoint(tmp_path, run_folder, monkeypatch):
    assert has_checkpoint(run_folder)
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    (tmp_path / "half" / "checkpoints" / "1.orbax-checkpoint-tmp").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name in ("missing", "empty", "half", "file"):
        assert not has_checkpoint(tmp_path / name)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    assert not has_checkpoint(run_folder)


def test_saved_state_is_not_changed_by_training_on(tmp_path):
    """Saving goes on in the background while the next step overwrites the donated state."""
    advance = jax.jit(lambda s: jax.tree.map(lambda x: x * 3 + 1, s), donate_argnums=0)
    state = make_state(width=20_000, seed=3)
    before = jax.tree.map(np.array, state)
    with CheckpointStore(tmp_path, keep_last=3) as store:
        store.save(3, state, {})
        for _ in range(5):
            state = advance(state)
    with CheckpointStore(tmp_path, keep_last=3) as store:
        _, restored, _ = store.restore_latest(state)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(restored), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("saved_on", "restored_on"), [(8, 1), (1, 8), (8, 2)])
def test_restores_onto_another_number_of_devices(tmp_path, saved_on, restored_on):
    with CheckpointStore(tmp_path, keep_last=1) as store:
        store.save(1, make_state(seed=1, devices=saved_on), {})
    target = make_state(seed=0, devices=restored_on)
    with CheckpointStore(tmp_path, keep_last=1) as store:
        _, restored, _ = store.restore_latest(target)
    assert_same(restored, make_state(seed=1))
    assert restored.step.sharding == target.step.sharding


def test_keeps_the_last_ones_and_the_best(tmp_path):
    losses = {1: 0.5, 2: 0.1, 3: 0.4, 4: None, 5: 0.3}
    for group in ((1, 2, 3), (4, 5)):  # the second group is a resumed run
        with CheckpointStore(tmp_path, keep_last=2) as store:
            for step in group:
                metrics = None if losses[step] is None else {BEST_METRIC: losses[step]}
                store.save(step, make_state(seed=step), {}, metrics)
    assert steps_in(tmp_path) == [2, 4, 5]


def test_without_validation_only_the_last_ones_stay(tmp_path):
    with CheckpointStore(tmp_path, keep_last=2) as store:
        for step in range(1, 6):
            store.save(step, make_state(), {})
    assert steps_in(tmp_path)[-2:] == [4, 5] and len(steps_in(tmp_path)) <= 3


def test_saving_a_step_again_changes_nothing(tmp_path):
    with CheckpointStore(tmp_path, keep_last=2) as store:
        store.save(1, make_state(seed=1), {})
        store.save(1, make_state(seed=2), {})
        _, restored, _ = store.restore_latest(make_state())
    assert int(restored.step) == 1


def test_load_variables(run_folder):
    config, variables = load_variables(run_folder)
    assert config.model.num_keypoints == 10
    assert_same(variables["params"], make_state(seed=2).params)
    assert_same(variables["batch_stats"], make_state().batch_stats)
    for step in ("best", 1):
        _, variables = load_variables(run_folder, step=step)
        assert_same(variables["params"], make_state(seed=1).params)


def test_load_variables_takes_the_moving_average(tmp_path):
    config = base.get_config()
    config.optimizer.ema_decay = 0.999
    save_config(tmp_path, config)
    state = make_state(ema=True)
    with CheckpointStore(tmp_path, keep_last=1) as store:
        store.save(1, state, {})
    _, variables = load_variables(tmp_path)
    assert_same(variables, {"params": state.ema_params, "batch_stats": state.ema_batch_stats})


def test_load_variables_imports_no_tensorflow_and_no_clu():
    code = (
        "import sys; import motion_transformer_jax.training.checkpoint; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'clu', 'grain')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def without_checkpoints(folder):
    shutil.rmtree(folder / "checkpoints")


def with_empty_checkpoints(folder):
    without_checkpoints(folder)
    (folder / "checkpoints").mkdir()


def with_half_written_checkpoints(folder):
    with_empty_checkpoints(folder)
    (folder / "checkpoints" / "2.orbax-checkpoint-tmp-17").mkdir()


def without_state(folder):
    shutil.rmtree(folder / "checkpoints" / "2" / "state")


def with_truncated_arrays(folder):
    for path in (folder / "checkpoints" / "2" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_config(folder):
    (folder / "config.json").unlink()


def with_truncated_config(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:100])


def with_foreign_config(folder):
    (folder / "config.json").write_text(json.dumps({"n_layers": 3}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no folder .* --workdir"),
        (without_checkpoints, "no checkpoint in .* train until"),
        (with_empty_checkpoints, "no checkpoint in .* train until"),
        (with_half_written_checkpoints, "only half-written checkpoints .* resume"),
        (without_state, "2 cannot be read .* restore that folder"),
        (with_truncated_arrays, "2 cannot be read .* restore that folder"),
        (without_config, "no config.json in .* --workdir"),
        (with_truncated_config, "config.json cannot be read .* restore it"),
        (with_foreign_config, "config.json is no config of this version .*n_layers"),
    ],
)
def test_folders_that_cannot_be_loaded(run_folder, damage, message):
    damage(run_folder)
    with pytest.raises(UserError, match=message) as error:
        load_variables(run_folder)
    assert "\n" not in str(error.value)


def test_a_step_that_is_not_there(run_folder):
    with pytest.raises(UserError, match=r"no step 5 in .* it has 1, 2"):
        load_variables(run_folder, step=5)


def test_variables_of_another_config(run_folder, monkeypatch):
    expected = {"params": make_state(width=5).params, "batch_stats": make_state().batch_stats}
    monkeypatch.setattr(checkpoint, "variable_shapes", lambda config: expected)
    with pytest.raises(UserError, match=r"params/generator/conv/bias of shape \(4,\) but the config makes \(5,\)"):
        load_variables(run_folder)


def test_state_of_another_config(run_folder):
    with CheckpointStore(run_folder, keep_last=3) as store:
        with pytest.raises(UserError, match=r"params/generator/conv/bias of shape \(4,\) but the config makes \(6,\)"):
            store.restore_latest(make_state(width=6))
        with pytest.raises(UserError, match="has no ema_params/generator/conv/bias, which the config's model has"):
            store.restore_latest(make_state(ema=True))
        with pytest.raises(UserError, match="which the config's model lacks"):
            store.restore_latest(make_state().replace(batch_stats={}))
        with pytest.raises(UserError, match="step as int32 but the config makes float32"):
            store.restore_latest(make_state().replace(step=jnp.float32(0)))


def test_half_written_steps_are_ignored_when_resuming(run_folder):
    (run_folder / "checkpoints" / "9.orbax-checkpoint-tmp-17").mkdir()
    with CheckpointStore(run_folder, keep_last=3) as store:
        assert store.restore_latest(make_state())[0] == 2


@pytest.mark.parametrize("damage", [without_state, with_truncated_arrays])
def test_a_damaged_newest_step_is_set_aside_and_the_one_before_is_used(run_folder, damage, caplog):
    damage(run_folder)
    with CheckpointStore(run_folder, keep_last=3) as store:
        step, state, progress = store.restore_latest(make_state())
        assert (step, progress) == (1, {"data": 1})
        assert_same(state, make_state(seed=1))
        assert "2 cannot be read" in caplog.text and "2.corrupt from now on" in caplog.text
        store.save(2, make_state(seed=5), {})  # the step comes again
    assert sorted(path.name for path in (run_folder / "checkpoints").iterdir()) == ["1", "2", "2.corrupt"]
    with CheckpointStore(run_folder, keep_last=3) as store:
        assert_same(store.restore_latest(make_state())[1], make_state(seed=5))


def test_a_step_that_another_process_cannot_read_is_left_by_all(run_folder, monkeypatch):
    told = iter([False, True])
    monkeypatch.setattr(checkpoint_store, "true_for_all", lambda holds: next(told) and holds)
    with CheckpointStore(run_folder, keep_last=2) as store:
        step, state, _ = store.restore_latest(make_state(seed=0))
    assert step == 1 and int(state.step) == 1
    assert sorted(path.name for path in (run_folder / "checkpoints").iterdir()) == ["1", "2.corrupt"]


def test_a_step_that_only_the_first_process_sees(run_folder, monkeypatch):
    monkeypatch.setattr(checkpoint_store, "agreed", lambda own: 3)
    monkeypatch.setattr(checkpoint_store, "_SIGHT_SECONDS", 0)
    message = r"sees .*/3, process 0 does not; expected one folder that all share"
    with CheckpointStore(run_folder, keep_last=2) as store, pytest.raises(UserError, match=message):
        store._restore(3, make_state(seed=0))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("Error writing x: [OS error 28: No space left on device]"), UserError),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), UserError),
        (jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"), RuntimeError),
    ],
)
def test_only_what_the_user_can_mend_is_a_mistake_of_the_user(tmp_path, monkeypatch, error, raised):
    def save(*arguments, **options):
        raise error

    with CheckpointStore(tmp_path, keep_last=1) as store:
        monkeypatch.setattr(store._manager, "save", save)
        with pytest.raises(raised) as caught:
            store.save(1, make_state(), {})
    assert ("make room or mend permissions" in str(caught.value)) == (raised is UserError)


def test_nothing_is_set_aside_where_no_step_can_be_read(run_folder):
    for step in ("1", "2"):
        shutil.rmtree(run_folder / "checkpoints" / step / "state")
    with CheckpointStore(run_folder, keep_last=3) as store, pytest.raises(UserError, match="2 cannot be read"):
        store.restore_latest(make_state())
    assert steps_in(run_folder) == [1, 2]


def test_checkpoints_of_an_earlier_version_give_their_weights_alone(run_folder):
    path = run_folder / "checkpoints" / "2" / "progress" / "metadata"
    path.write_text(json.dumps({"processes": [{"data": 2}]}))
    assert load_variables(run_folder, step=2)
    shutil.rmtree(run_folder / "checkpoints" / "1")
    with (
        CheckpointStore(run_folder, keep_last=3) as store,
        pytest.raises(UserError, match=r"2 was saved by an earlier version.* --config\.train\.init_from="),
    ):
        store.restore_latest(make_state())


def test_an_array_that_has_changed_since_it_was_saved(run_folder, monkeypatch):
    """As by a flipped bit that the storage does not notice."""
    saved = checkpoint_store.tree_checksums
    changed = {"params/generator/conv/bias": 1}
    monkeypatch.setattr(checkpoint_store, "tree_checksums", lambda state: saved(state) | changed)
    with CheckpointStore(run_folder, keep_last=3) as store:
        store.save(3, make_state(seed=3), {})
    with pytest.raises(UserError, match=r"3 cannot .* \(params/generator/conv/bias has changed since it was saved"):
        load_variables(run_folder)
    with CheckpointStore(run_folder, keep_last=3) as store:
        assert store.restore_latest(make_state())[0] == 2


def test_config_round_trip(tmp_path):
    config = base.get_config()
    config.loss.scales = (1.0, 0.5)
    save_config(tmp_path, config)
    assert load_config(tmp_path).to_dict() == config.to_dict()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]


def test_config_of_an_older_version_gets_defaults(tmp_path):
    config = base.get_config()
    save_config(tmp_path, config)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["transformer"]["stacks"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_config(tmp_path).transformer.stacks == 1


def test_resuming_under_another_model_is_refused(tmp_path):
    saved, config = base.get_config(), base.get_config()
    config.model.num_keypoints = 5
    config.train.num_steps = 7
    config.optimizer.gamma = 0.5
    assert config_changes(saved, config).keys() == {"model.num_keypoints", "train.num_steps", "optimizer.gamma"}
    message = r"num_keypoints=5 but the run was started with 10; .* --config\.model\.num_keypoints=10$"
    with pytest.raises(UserError, match=message):
        check_resumable(tmp_path, saved, config)


def test_resuming_with_other_durations_and_rates_is_allowed(tmp_path):
    saved, config = base.get_config(), base.get_config()
    config.train.num_steps = 7
    config.train.log_every_steps = 3
    config.optimizer.learning_rate_generator = 1e-5
    check_resumable(tmp_path, saved, config)
