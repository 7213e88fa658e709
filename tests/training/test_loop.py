"""The training loop: it resumes bit for bit, stops when asked to, and says what is wrong."""

import contextlib
import functools
import json
import logging
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from motion_transformer_jax.configs import demo
from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import Generation
from motion_transformer_jax.models.dense_motion import DenseMotion
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops.backend import compile_once
from motion_transformer_jax.training import checkpoint, loop, samples
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.finite import check_finite, keep_unless
from motion_transformer_jax.training.nonfinite import load_batch
from motion_transformer_jax.training.parallel import abstract, create_mesh
from motion_transformer_jax.training.progress import RunStopped
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.state import TrainState

SIZE = 16


def small_config(**changes):
    config = demo.get_config("debug")
    config.model.image_size = SIZE
    config.loss.scales = (1.0,)
    config.data.puppet_identities = 8
    config.data.puppet_clips = 1
    config.data.puppet_frames = 4
    config.train.validation_pairs = 8
    config.update_from_flattened_dict({f"train.{name}": value for name, value in changes.items()})
    return config


def steps_config(num_steps, **changes):
    defaults = {"log_every_steps": 3, "validate_every_steps": 4, "picture_every_steps": 4, "checkpoint_every_steps": 2}
    return small_config(num_steps=num_steps, **defaults | changes)


def create_train_state(config, optimizer):
    params = {"generator": {"scale": jnp.ones(3), "shift": jnp.zeros((SIZE, SIZE, 3))}}
    return TrainState(jnp.int32(0), params, {}, optimizer.init(params))


def create_train_step(config, optimizer, mesh, vgg_params):
    """A model that scales and shifts colours; its loss depends on batch, state and step."""

    def loss(params, source, driving, step):
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(config.seed), step), (3,))
        prediction = source * params["generator"]["scale"] + params["generator"]["shift"]
        return jnp.mean(jnp.abs(prediction - driving + 0.01 * noise))

    def step(state, batch):
        source, driving = batch["source"] / 255.0, batch["driving"] / 255.0
        value, gradients = jax.value_and_grad(loss)(state.params, source, driving, state.step)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"total": value, "perceptual": value, "gradient_norm/generator": optax.tree.norm(gradients)}
        after = state.replace(params=params, opt_state=opt_state)
        finite, metrics = check_finite(metrics)
        return keep_unless(finite, state, after).replace(step=state.step + 1), metrics

    return compile_once(step, donate_argnums=0)


def reconstruct(variables, source, driving):
    batch = source.shape[0]
    motion = Motion(jnp.zeros((batch, 2, 2)), jnp.broadcast_to(jnp.eye(2), (batch, 2, 2, 2)))
    maps = {"mask": 3, "occlusion": 1, "deformation": 2, "mask_logits": 3, "heatmap": 3}
    dense = DenseMotion(
        **{name: jnp.zeros((batch, 4, 4, channels)) for name, channels in maps.items()},
        sparse_motion=jnp.zeros((batch, 3, 4, 4, 2)),
        sparse_deformed=jnp.zeros((batch, 3, 4, 4, 3)),
    )
    return Generation(source / 255.0, source / 255.0, dense, motion, motion)


def evaluate(variables, batch):
    params = variables["params"]["generator"]
    source, driving = batch["source"] / 255.0, batch["driving"] / 255.0
    prediction = source * params["scale"] + params["shift"]
    return {"l1": jnp.mean(jnp.abs(prediction - driving)), "l1_copy_source": jnp.mean(jnp.abs(source - driving))}


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    """A model of a few numbers in place of the real one, which takes a minute to compile."""
    monkeypatch.setattr(loop, "create_configured_optimizer", lambda config, milestone_steps: optax.adam(1e-2))
    monkeypatch.setattr(loop, "load_vgg19", lambda config: {})
    monkeypatch.setattr(loop, "create_train_state", create_train_state)
    monkeypatch.setattr(loop, "create_train_step", create_train_step)
    monkeypatch.setattr(samples, "create_eval_step", lambda config: jax.jit(evaluate))
    monkeypatch.setattr(samples, "create_reconstruct", lambda config: jax.jit(reconstruct))


def read_metrics(workdir):
    """Lines of metrics.jsonl without what depends on the machine's speed."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train/pairs_per_second"} for line in lines]


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


class Batches:
    """Spies on the batches that reach the step."""

    def __init__(self, monkeypatch, *, before_step=None):
        self.seen = []

        def create(*arguments):
            train_step = create_train_step(*arguments)

            @functools.wraps(train_step)
            def spying_step(state, batch):
                self.seen.append(jax.device_get(batch))
                if before_step is not None:
                    before_step(len(self.seen))
                return train_step(state, batch)

            return spying_step

        monkeypatch.setattr(loop, "create_train_step", create)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Final state, metrics, batches and folder of a run of 12 steps."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_model.__wrapped__(monkeypatch)
        batches = Batches(monkeypatch)
        workdir = tmp_path_factory.mktemp("uninterrupted")
        state = loop.train_and_evaluate(steps_config(12), workdir)
    return state, read_metrics(workdir), batches.seen, workdir


def test_files_of_a_run(uninterrupted):
    state, metrics, batches, workdir = uninterrupted
    assert int(state.step) == 12 and len(batches) == 12
    names = sorted(path.name for path in workdir.iterdir())
    assert names == ["checkpoints", "config.json", "metrics.jsonl", "parameters.txt", "samples", "status.json"]
    assert "generator/scale" in (workdir / "parameters.txt").read_text()
    assert sorted(path.name for path in (workdir / "samples").iterdir()) == [f"{s:07d}.png" for s in (4, 8, 12)]
    with Image.open(workdir / "samples" / "0000012.png") as picture:
        assert picture.width > 6 * 128 and picture.height > 4 * 128
    logs = [line for line in metrics if "train/loss/total" in line]
    assert [line["step"] for line in logs] == [3, 6, 9, 12]
    losses = {"train/loss/total", "train/loss/perceptual"}
    assert logs[0].keys() == {"step", *losses, "train/gradient_norm/generator", "train/update/skipped"}
    validations = [line for line in metrics if "validation/l1" in line]
    assert [line["step"] for line in validations] == [4, 8, 12]
    assert validations[-1]["validation/l1"] != validations[-1]["validation/l1_copy_source"]


def test_logged_loss_is_the_mean_since_the_last_log(uninterrupted):
    _, metrics, batches, _ = uninterrupted
    config, optimizer = steps_config(12), optax.adam(1e-2)
    state, train_step = create_train_state(config, optimizer), create_train_step(config, optimizer, None, {})
    losses = []
    for batch in batches[:6]:
        state, result = train_step(state, batch)
        losses.append(float(result["total"]))
    logged = [line["train/loss/total"] for line in metrics if "train/loss/total" in line]
    np.testing.assert_allclose(logged[:2], [np.mean(losses[:3]), np.mean(losses[3:])], rtol=1e-5)


@pytest.mark.parametrize("stop_at", [4, 5, 7])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_run_goes_on_bit_for_bit(uninterrupted, tmp_path, monkeypatch, stop_at, number):
    """A signal in step `stop_at`, beside or between logs and checkpoints, then the same command again."""
    state, metrics, batches, _ = uninterrupted

    def stop(step):
        if step == stop_at:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with monkeypatch.context() as first:
        seen = Batches(first, before_step=stop).seen
        with pytest.raises((SystemExit, KeyboardInterrupt)) as stopped:
            loop.train_and_evaluate(steps_config(12), tmp_path)
    assert stopped.type is KeyboardInterrupt if number == signal.SIGINT else stopped.value.code == 143
    assert len(seen) == stop_at and signal.getsignal(number) == before
    assert read_metrics(tmp_path) == [line for line in metrics if line["step"] <= stop_at]

    again = Batches(monkeypatch)
    resumed = loop.train_and_evaluate(steps_config(12), tmp_path)
    assert_same(resumed, state)
    assert_same(seen + again.seen, batches)
    assert read_metrics(tmp_path) == metrics


@pytest.mark.parametrize("die_at", [1, 6, 8])
def test_killed_run_goes_on_from_the_last_checkpoint(uninterrupted, tmp_path, monkeypatch, die_at):
    """What was logged behind the checkpoint is dropped and comes again, the same."""
    state, metrics, batches, _ = uninterrupted

    def die(step):
        if step == die_at:
            raise MemoryError("as good as kill -9: nothing is saved")

    with monkeypatch.context() as first:
        Batches(first, before_step=die)
        with pytest.raises(MemoryError):
            loop.train_and_evaluate(steps_config(12, checkpoint_every_steps=5), tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "train/loss/to')  # a line that the kill cut short
    again = Batches(monkeypatch)
    resumed = loop.train_and_evaluate(steps_config(12, checkpoint_every_steps=5), tmp_path)
    assert_same(resumed, state)
    last_checkpoint = (die_at - 1) // 5 * 5
    assert_same(again.seen, batches[last_checkpoint:])
    assert read_metrics(tmp_path) == metrics


def test_a_finished_run_can_be_made_longer(uninterrupted, tmp_path, caplog):
    state, _, _, _ = uninterrupted
    loop.train_and_evaluate(steps_config(6), tmp_path)
    with caplog.at_level(logging.INFO):
        assert_same(loop.train_and_evaluate(steps_config(12), tmp_path), state)
    assert "train.num_steps is 12 from here on; it was 6" in caplog.text


def test_a_finished_run_is_left_alone(tmp_path):
    first = loop.train_and_evaluate(steps_config(2), tmp_path)
    metrics = read_metrics(tmp_path)
    assert_same(loop.train_and_evaluate(steps_config(2), tmp_path), first)
    assert read_metrics(tmp_path) == metrics


def test_another_model_does_not_resume(tmp_path):
    loop.train_and_evaluate(steps_config(2), tmp_path)
    config = steps_config(4)
    config.model.num_keypoints = 7
    with pytest.raises(UserError, match="num_keypoints=7 but the run was started with 4"):
        loop.train_and_evaluate(config, tmp_path)


def test_a_new_run_starts_from_another_ones_weights(uninterrupted, tmp_path, monkeypatch):
    """Resumed, it does not look at the other run again."""
    state, _, _, workdir = uninterrupted
    shapes = {"params": state.params, "batch_stats": state.batch_stats}
    monkeypatch.setattr(checkpoint, "variable_shapes", lambda config: shapes)
    shutil.copytree(workdir, tmp_path / "other")
    config = steps_config(2, init_from=str(tmp_path / "other"))
    config.optimizer.ema_decay = 0.0
    save_config(tmp_path / "other", config)
    started = []

    def create(*arguments):
        train_step = create_train_step(*arguments)

        @functools.wraps(train_step)
        def step(state, batch):
            started.append(jax.device_get(state))
            return train_step(state, batch)

        return step

    monkeypatch.setattr(loop, "create_train_step", create)
    loop.train_and_evaluate(config, tmp_path / "run")
    assert int(started[0].step) == 0
    assert_same(started[0].params, jax.device_get(state.params))

    shutil.rmtree(tmp_path / "other")
    config.train.num_steps = 3
    assert int(loop.train_and_evaluate(config, tmp_path / "run").step) == 3


@pytest.mark.parametrize("named_weights", [False, True])
def test_compiling_comes_before_what_needs_memory_and_after_what_is_read(tmp_path, monkeypatch, named_weights):
    """A new run's state is drawn when the step is compiled, unless weights are named: these may be wrong."""
    happened = []

    def create_step(*arguments):
        train_step = create_train_step(*arguments)

        @functools.wraps(train_step)
        def step(state, batch):
            happened.append("step")
            return train_step(state, batch)

        step.compile = lambda state, batch: happened.append("compile") or train_step.compile(state, batch)
        return step

    def with_initial_weights(config, state):
        happened.append("state")
        return state

    monkeypatch.setattr(loop, "create_train_step", create_step)
    monkeypatch.setattr(loop, "with_initial_weights", with_initial_weights)
    config = steps_config(2)
    if named_weights:
        monkeypatch.setattr(loop, "validate_config", lambda *arguments, **options: None)
        config.train.init_from = str(tmp_path / "other")
    loop.train_and_evaluate(config, tmp_path / "run")
    before = ["state", "compile"] if named_weights else ["compile", "state"]
    assert happened == [*before, "step", "step"]
    loop.train_and_evaluate(config, tmp_path / "run")
    assert happened == [*before, "step", "step"]  # nothing is compiled for a run that is done


def test_joints_come_along_where_landmarks_guide(tmp_path, monkeypatch):
    batches = Batches(monkeypatch)
    config = steps_config(1)
    config.model.num_keypoints = 10
    config.loss.landmark_guidance = 1.0
    config.augmentation.time_flip = False
    loop.train_and_evaluate(config, tmp_path)
    [batch] = batches.seen
    assert batch["driving_joints"].shape == (config.train.batch_size, 15, 2)


def test_the_objective_chooses_the_step(tmp_path, monkeypatch):
    """A disentangler's training looks for no VGG."""
    used = []

    def create(config, optimizer, mesh):
        used.append("disentanglement")
        return create_train_step(config, optimizer, mesh, {})

    monkeypatch.setattr(loop, "create_disentanglement_step", create)
    monkeypatch.setattr(loop, "with_initial_weights", lambda config, state: state)
    monkeypatch.setattr(loop, "load_vgg19", None)
    monkeypatch.setattr(samples, "create_disentanglement_eval_step", lambda config: jax.jit(evaluate))
    monkeypatch.setattr(samples, "create_disentangled_animation", lambda config: jax.jit(reconstruct))
    config = steps_config(2, objective="disentanglement", init_from=str(tmp_path))
    config.disentangler.enabled = True
    loop.train_and_evaluate(config, tmp_path / "run")
    assert used == ["disentanglement"]


def poisoned(monkeypatch, steps):
    """NaN in the parameters' gradients at these steps."""

    def create(config, *arguments):
        train_step = create_train_step(config, *arguments)

        @functools.wraps(train_step)
        def step(state, batch):
            bad = np.isin(int(state.step) + 1, steps)
            source = batch["source"] * jax.device_put(np.float32(np.nan if bad else 1))
            return train_step(state, {"source": source, "driving": batch["driving"]})

        step.compile = lambda state, batch: None  # the first call does, for frames of floats
        return step

    monkeypatch.setattr(loop, "create_train_step", create)
    monkeypatch.setattr(loop.jax, "transfer_guard", lambda level: contextlib.nullcontext())


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        poisoned(patch, [5, 6])
        state = loop.train_and_evaluate(steps_config(9, max_skipped_steps=3), tmp_path)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)) and int(state.step) == 9
    skipped = [line["train/update/skipped"] for line in read_metrics(tmp_path) if "train/update/skipped" in line]
    np.testing.assert_allclose(skipped, [0, 2 / 3, 0])
    assert status(tmp_path) == {"state": "finished", "step": 9, "total_steps": 9}


def test_too_many_in_a_row_end_the_run_with_a_diagnosis_and_a_dump(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        poisoned(patch, range(6, 100))
        with pytest.raises(UserError, match=r"3 steps in a row .* up to step 8: loss perceptual nan; gradients of gen"):
            loop.train_and_evaluate(steps_config(40, max_skipped_steps=3), tmp_path)
    assert status(tmp_path)["state"] == "diverged"
    expected = abstract(lambda: create_train_state(steps_config(40), optax.adam(1e-2)), create_mesh())
    with CheckpointStore(tmp_path / "nonfinite", keep_last=1) as store:
        step, state, _ = store.restore_latest(expected)
    assert step == 7 and int(state.step) == 7
    batch = load_batch(tmp_path / "nonfinite")
    assert batch["source"].shape == (8, SIZE, SIZE, 3) and batch["source"].dtype == np.uint8
    for step in (6, 8):
        shutil.rmtree(tmp_path / "checkpoints" / str(step))
    with monkeypatch.context() as patch:  # diverging again, a step earlier, replaces the dump
        poisoned(patch, range(5, 100))
        with pytest.raises(UserError, match="up to step 7"):
            loop.train_and_evaluate(steps_config(40, max_skipped_steps=3), tmp_path)
    assert [path.name for path in (tmp_path / "nonfinite" / "checkpoints").iterdir()] == ["6"]
    # The checkpoints before are whole: without the poison the run goes on.
    assert int(loop.train_and_evaluate(steps_config(10), tmp_path).step) == 10


def test_a_dump_that_fails_hides_no_diagnosis(tmp_path, monkeypatch):
    def no_space(*_):
        raise UserError("cannot save a checkpoint")

    poisoned(monkeypatch, range(1, 100))
    monkeypatch.setattr(loop, "dump_step", no_space)
    with pytest.raises(UserError, match=r"loss perceptual nan; .* \(the step is not kept: cannot save a checkpoint\)"):
        loop.train_and_evaluate(steps_config(9, max_skipped_steps=3), tmp_path)


def test_status_tells_whether_a_run_is_done(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Batches(patch, before_step=lambda step: step == 3 and os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(RunStopped):
            loop.train_and_evaluate(steps_config(4), tmp_path)
    assert status(tmp_path) == {"state": "stopped", "step": 3, "total_steps": 4}
    loop.train_and_evaluate(steps_config(4), tmp_path)
    assert status(tmp_path) == {"state": "finished", "step": 4, "total_steps": 4}


def status(workdir):
    return json.loads((workdir / "status.json").read_text())


def test_workdir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write into .*/file/run .*choose a folder"):
        loop.train_and_evaluate(steps_config(2), tmp_path / "file" / "run")


def test_workdir_that_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="gs://bucket/run is an address; expected a folder"):
        loop.train_and_evaluate(steps_config(2), "gs://bucket/run")
    assert not list(tmp_path.iterdir())


def test_a_bad_config_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match=r"train\.batch_size=12 is not divisible by the 8 devices"):
        loop.train_and_evaluate(steps_config(2, batch_size=12), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_first_lines_tell_what_runs(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        loop.train_and_evaluate(steps_config(2), tmp_path)
    for text in ("8 x cpu, batch of 8", "parameters: generator 0.00 M", str(tmp_path), "the step is compiled first"):
        assert text in caplog.text
    assert "step 2/2: loss" in caplog.text


def test_refuses_to_go_on_with_other_videos(tmp_path, monkeypatch):
    loop.train_and_evaluate(steps_config(2), tmp_path)
    monkeypatch.setattr(loop, "create_videos", lambda split, **kwargs: Renamed(create_videos(split, **kwargs)))
    with pytest.raises(UserError, match="was trained on other videos"):
        loop.train_and_evaluate(steps_config(4), tmp_path)


class Renamed:
    def __init__(self, videos):
        self.names = [f"other-{name}" for name in videos.names]
        self.num_frames, self.frame = videos.num_frames, videos.frame
