"""Whole checkpoints, to a run's folder and back."""

import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_files import (
    MODELS,
    assert_same,
    make_config,
    official_state_dicts,
    random_variables,
    write_official,
)

from motion_transformer_jax.configs import demo, vox256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io import conversion
from motion_transformer_jax.torch_io.conversion import from_torch, to_torch
from motion_transformer_jax.torch_io.pth import read_torch_file, write_torch_file
from motion_transformer_jax.torch_io.recognition import untold_fields
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.initialization import with_initial_weights
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.training.state import TrainState, without_discriminator
from motion_transformer_jax.training.weights_folder import save_variables

pytest.importorskip("torch")

MODEL_GROUPS = ("model", "transformer", "keypoint_detector", "region_predictor", "dense_motion", "generator")
MODEL_GROUPS += ("background", "discriminator", "disentangler", "animate")


def as_recognised(config):
    return config


def load(folder):
    config, variables = load_variables(folder, discriminator=True)
    return config, jax.tree.map(np.asarray, variables)


def architecture(config):
    """The fields that decide a model; limits of channels that are never reached do not."""
    fields = {f"{group}.{name}": value for group in MODEL_GROUPS for name, value in config[group].items()}
    return {
        name: value
        for name, value in fields.items()
        if not name.endswith((".max_features", ".token_std", ".keypoint_std"))
    }


def used_groups(config):
    unused = {"transformer", "keypoint_detector", "region_predictor"} - {config.model.estimator}
    unused -= {"transformer"} if config.model.estimator == "motion_transformer" else set()
    parts = {"background": config.background.kind not in ("none", "zero")}
    parts |= {name: config[name].enabled for name in ("discriminator", "disentangler")}
    return set(MODEL_GROUPS) - unused - {name for name, used in parts.items() if not used}


FILES = [(name, ".pth") for name in MODELS] + [("mraa_avd", ".pth.tar"), ("fomm_shared", ".safetensors")]


@pytest.mark.parametrize(("name", "suffix"), [*FILES, pytest.param("mtia_w32", ".pth", marks=pytest.mark.slow)])
def test_run_to_file_to_run(tmp_path, name, suffix):
    """Weights bit for bit, and every setting, also those that no shape tells."""
    config, variables = make_config(name), random_variables(make_config(name))
    save_variables(tmp_path / "run", config, variables)
    to_torch(tmp_path / "run", tmp_path / f"x{suffix}")
    done = from_torch(tmp_path / f"x{suffix}", tmp_path / "back", as_recognised)
    assert done.assumed == {} and done.config.name == "x"
    back, loaded = load(tmp_path / "back")
    assert_same(loaded, variables)
    expected, found = architecture(config), architecture(back)
    groups = used_groups(config)
    assert {n: v for n, v in found.items() if n.split(".")[0] in groups} == {
        n: v for n, v in expected.items() if n.split(".")[0] in groups
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "run", f"x{suffix}"]


def test_official_file_and_its_defaults(tmp_path):
    """What nothing tells is the system's official default, unless the caller chooses."""
    config = make_config("fomm_adv")
    write_official(tmp_path / "vox-adv-cpk.pth.tar", config)
    done = from_torch(tmp_path / "vox-adv-cpk.pth.tar", tmp_path / "run", as_recognised)
    assert done.system == "fomm" and done.config.name == "vox-adv-cpk"
    assert done.assumed == {
        "generator.skips": False,
        "animate.mode": "relative",
        "keypoint_detector.temperature": 0.1,
        "keypoint_detector.padding": 0,
        "model.image_size": 256,
    }
    assert done.num_parameters == sum(leaf.size for leaf in jax.tree.leaves(random_variables(config)["params"]))

    def choose(recognised):
        recognised.model.image_size = 32
        recognised.keypoint_detector.padding = 3
        return recognised

    from_torch(tmp_path / "vox-adv-cpk.pth.tar", tmp_path / "chosen", choose)
    chosen, variables = load(tmp_path / "chosen")
    assert (chosen.model.image_size, chosen.keypoint_detector.padding) == (32, 3)
    assert_same(variables, random_variables(config))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_other_entries_and_prefixes(tmp_path, prefix):
    config = make_config("mraa")
    state_dicts = {
        module: {f"{prefix}{key}": array for key, array in tensors.items()}
        for module, tensors in official_state_dicts(config).items()
    }
    write_torch_file(tmp_path / "x.pth", state_dicts, {"epoch_reconstruction": 99})
    from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised)
    assert_same(load(tmp_path / "run")[1], random_variables(config))


def test_moving_averages_and_discriminator_are_exported(tmp_path):
    """Of a training run: the averaged weights where it keeps them, and the discriminator, which has no average."""
    config = make_config("fomm_shared")
    config.optimizer.ema_decay = 0.9
    steps = {step: (random_variables(config, step), random_variables(config, 10 + step)) for step in (3, 5)}
    save_run(tmp_path / "run", config, steps)
    for step, options in {3: {"step": 3}, 5: {}}.items():
        to_torch(tmp_path / "run", tmp_path / f"{step}.pth", **options)
        from_torch(tmp_path / f"{step}.pth", tmp_path / f"{step}", as_recognised)
        back, loaded = load(tmp_path / f"{step}")
        assert back.optimizer.ema_decay == 0
        present, averaged = steps[step]
        for name, parts in loaded.items():
            assert_same(parts, averaged[name] | {"discriminator": present[name]["discriminator"]})


def save_run(folder, config, steps):
    """Steps are {number: (variables, averaged variables)}."""
    folder.mkdir()
    save_config(folder, config)
    with CheckpointStore(folder, keep_last=3) as store:
        for step, (present, averaged) in steps.items():
            averages = {f"ema_{name}": tree for name, tree in without_discriminator(averaged).items()}
            store.save(step, jax.device_put(TrainState(step=jnp.int32(step), opt_state={}, **present, **averages)), {})


def read_back(file, folder):
    from_torch(file, folder, as_recognised)
    return load(folder)[1]


@pytest.mark.parametrize(
    ("name", "others", "empty"),
    [
        ("mtia", ["epoch"], []),
        ("fomm", ["epoch"], []),
        ("mraa_avd", ["epoch_reconstruction", "epoch_avd"], []),
        ("mraa_zero", ["epoch_reconstruction", "epoch_avd"], ["bg_predictor"]),
    ],
)
def test_entries_that_official_loaders_read(tmp_path, name, others, empty):
    config = make_config(name)
    save_variables(tmp_path / "run", config, random_variables(config))
    to_torch(tmp_path / "run", tmp_path / "x.pth")
    file = read_torch_file(tmp_path / "x.pth")
    assert {key: value for key, value in file.others.items() if key.startswith("epoch")} == dict.fromkeys(others, 0)
    assert [module for module, tensors in file.state_dicts.items() if not tensors] == empty
    assert file.state_dicts.keys() - set(empty) == official_state_dicts(config).keys()


def test_models_that_the_official_code_lacks_are_named(tmp_path, caplog):
    config = demo.get_config("debug")  # samples with aligned corners
    config.transformer.update(stacks=2, scale=0.5)
    config.optimizer.ema_decay = 0.0
    save_variables(tmp_path / "run", config, random_variables(config))
    with caplog.at_level(logging.WARNING):
        to_torch(tmp_path / "run", tmp_path / "x.pth")
    (message,) = [record.getMessage() for record in caplog.records]
    found = "model.align_corners=True, transformer.scale=0.5, stem with transformer.stacks=2, transformer"
    assert f"the official code has no {found}" in message
    caplog.clear()
    back = from_torch(tmp_path / "x.pth", tmp_path / "back", as_recognised).config
    assert (back.model, back.transformer.scale) == (config.model, 0.5)
    save_variables(tmp_path / "plain", make_config("mtia"), random_variables(make_config("mtia")))
    to_torch(tmp_path / "plain", tmp_path / "plain.pth")
    assert not caplog.records


def test_nan_is_converted_with_a_warning(tmp_path, caplog):
    config = make_config("fomm")
    state_dicts = official_state_dicts(config)
    state_dicts["generator"]["final.bias"][1] = np.nan
    write_torch_file(tmp_path / "x.pth", state_dicts, {})
    with caplog.at_level(logging.WARNING):
        variables = read_back(tmp_path / "x.pth", tmp_path / "run")
    assert np.isnan(variables["params"]["generator"]["final"]["bias"][1])
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'x.pth'}: 1 tensors hold NaN or infinity: generator.final.bias"
    ]


def broken(change):
    """Writes FOMM's official file after `change(state_dicts)`."""

    def write(path):
        state_dicts = official_state_dicts(make_config("fomm"))
        change(state_dicts)
        write_torch_file(path, state_dicts, {})

    return write


def truncate(path):
    write_official(path, make_config("fomm"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (truncate, "x.pth is not a readable PyTorch file"),
        (lambda path: path.write_text("weights"), "x.pth is not a readable PyTorch file"),
        (lambda path: None, "there is no file .*x.pth"),
        (broken(lambda d: d.pop("generator")), "x.pth: the file has no generator.dense_motion.* whole checkpoint?"),
        (broken(lambda d: d.pop("kp_detector")), "x.pth: no motion estimator .* is recognised among generator "),
        (broken(lambda d: d.clear() or d.update(x={"a": np.ones(3)})), "no motion estimator .* among x .1 tensors"),
        (broken(lambda d: d["generator"].pop("final.bias")), r"x.pth: .*\(1 missing: generator.final.bias\)"),
        (broken(lambda d: d["generator"].update(a=np.ones(2))), r"\(1 unexpected: generator.a\)"),
        (broken(lambda d: d.update(vgg={"a": np.ones(2)})), r"\(1 unexpected: vgg.a\)"),
        (
            broken(lambda d: d["generator"].update({"final.bias": np.ones(5, np.float32)})),
            r"\(1 misshapen: generator.final.bias has \(5,\), expected \(3,\)\)",
        ),
        (
            broken(lambda d: d["kp_detector"].update({"kp.weight": np.ones((4, 11), np.float32)})),
            r"misshapen: kp_detector.kp.weight has \(4, 11\), expected \(4, 11, 7, 7\)",
        ),
        (
            broken(lambda d: d["kp_detector"].update({"kp.weight": np.ones((), np.float32)})),
            r"kp_detector.kp.weight has the impossible shape \(\)",
        ),
        (
            broken(lambda d: d["kp_detector"]["down.weight"].__imul__(2)),
            "1 with other values than this config's: kp_detector.down.weight",
        ),
    ],
)
def test_files_that_cannot_be_converted(tmp_path, make, message):
    """One line, and nothing is made; what was there stays as it was."""
    make(tmp_path / "x.pth")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as error:
        from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_config_that_the_file_does_not_fit(tmp_path):
    write_official(tmp_path / "x.pth", make_config("fomm_adv"))
    config = vox256.get_config("fomm,debug")
    config.keypoint_detector.scale = 1.0
    with pytest.raises(UserError) as error:
        from_torch(tmp_path / "x.pth", tmp_path / "run", lambda _: config)
    message = str(error.value)
    assert "8 unexpected: discriminator.discs.1.conv.bias, " in message
    assert "the file's shapes tell --config.discriminator.enabled=True --config.discriminator.use_keypoints" in message
    config.discriminator.enabled = config.discriminator.use_keypoints = True
    done = from_torch(tmp_path / "x.pth", tmp_path / "run", lambda _: config)
    assert done.config.name == config.name and (tmp_path / "run").is_dir()


def test_named_systems(tmp_path):
    write_official(tmp_path / "x.pth", make_config("fomm"))
    with pytest.raises(UserError, match=r"holds a checkpoint of fomm, not of mraa; .* name fomm"):
        from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised, system="mraa")
    assert from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised, system="fomm").system == "fomm"


def test_impossible_configs_are_refused(tmp_path):
    write_official(tmp_path / "x.pth", make_config("mtia"))

    def choose(recognised):
        recognised.transformer.heads = 5
        return recognised

    with pytest.raises(UserError, match=r"transformer.dim=32 is not divisible by transformer.heads=5"):
        from_torch(tmp_path / "x.pth", tmp_path / "run", choose)


def test_damaged_settings(tmp_path):
    config = make_config("mtia")
    for text in ("{", "[]", '{"generator.skips": "no"}', '{"transformer.heads": [1]}'):
        write_torch_file(tmp_path / "x.pth", official_state_dicts(config), {"motion_transformer_jax": text})
        with pytest.raises(UserError, match="its entry 'motion_transformer_jax' is damaged"):
            from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised)
    text = '{"model.num_keypoints": 99, "train.init_from": "x", "transformer.heads": 2}'  # shapes tell keypoints
    write_torch_file(tmp_path / "x.pth", official_state_dicts(config), {"motion_transformer_jax": text})
    done = from_torch(tmp_path / "x.pth", tmp_path / "run", as_recognised)
    assert (done.config.model.num_keypoints, done.config.train.init_from, done.config.transformer.heads) == (4, "", 2)
    assert "transformer.heads" not in done.assumed


@pytest.fixture
def official(tmp_path):
    return write_official(tmp_path / "x.pth", make_config("fomm"))


def test_an_existing_folder(tmp_path, official):
    """Replaced if asked, and only by a complete one; nothing but converted weights is ever replaced."""
    out = tmp_path / "run"
    save_variables(out, make_config("mtia"), random_variables(make_config("mtia")))
    with pytest.raises(UserError, match="run exists; pass --overwrite to replace it, or choose another folder"):
        from_torch(official, out, as_recognised)
    assert load(out)[0].model.estimator == "motion_transformer"
    from_torch(official, out, as_recognised, overwrite=True)
    assert load(out)[0].model.estimator == "keypoint_detector"
    (out / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=r"holds more than converted weights \(metrics.jsonl\), which would be lost"):
        from_torch(official, out, as_recognised, overwrite=True)
    (out / "metrics.jsonl").unlink()
    shutil.copytree(out / "checkpoints" / "0", out / "checkpoints" / "7")
    with pytest.raises(UserError, match=r"holds more than converted weights \(checkpoints/7\)"):
        from_torch(official, out, as_recognised, overwrite=True)
    with pytest.raises(UserError, match=r"x.pth is a file; choose a folder"):
        from_torch(official, official, as_recognised, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x.pth"]


def test_a_new_folder(tmp_path, official):
    """Its parents are made, and empty folders count as nothing."""
    out = tmp_path / "runs" / "new"
    from_torch(official, out, as_recognised)
    assert load(out)[0].model.estimator == "keypoint_detector"
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    from_torch(official, tmp_path / "empty", as_recognised)
    assert load(tmp_path / "empty")[0].model.estimator == "keypoint_detector"


def test_a_failure_keeps_the_old_folder(tmp_path, official, monkeypatch):
    out = tmp_path / "run"
    save_variables(out, make_config("mtia"), random_variables(make_config("mtia")))

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointStore, "save", fail)
    with pytest.raises(UserError, match=r"cannot write .*run \(No space left on device\)"):
        from_torch(official, out, as_recognised, overwrite=True)
    monkeypatch.undo()
    assert_same(load(out)[1], random_variables(make_config("mtia")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x.pth"]


def test_an_existing_file(tmp_path, official):
    before = official.read_bytes()
    save_variables(tmp_path / "run", make_config("mtia"), random_variables(make_config("mtia")))
    with pytest.raises(UserError, match=r"x.pth exists; pass --overwrite"):
        to_torch(tmp_path / "run", official)
    assert official.read_bytes() == before
    to_torch(tmp_path / "run", official, overwrite=True)
    assert "features.conv1.weight" in read_torch_file(official).state_dicts["kp_detector"]


def test_runs_that_cannot_be_exported(tmp_path):
    for run, out, message in [
        (tmp_path / "none", "x.pth", "no folder"),
        (tmp_path, "x.pth", "no config.json"),
        (tmp_path / "none", "x.ckpt", "unknown suffix"),
    ]:
        with pytest.raises(UserError, match=message):
            to_torch(run, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_training_does_not_go_on_with_converted_weights(tmp_path, official):
    from_torch(official, tmp_path / "run", as_recognised)
    message = r"run holds converted weights only, .* another folder by --config.train.init_from=.*run$"
    with pytest.raises(UserError, match=message):
        CheckpointStore(tmp_path / "run", keep_last=1)
    assert_same(load(tmp_path / "run")[1], random_variables(make_config("fomm")))


def test_a_new_run_starts_from_converted_weights(tmp_path):
    config = make_config("fomm_adv")
    from_torch(write_official(tmp_path / "x.pth", config), tmp_path / "run", as_recognised)
    config.train.init_from = str(tmp_path / "run")
    fresh = TrainState(step=jnp.int32(0), opt_state={}, **jax.device_put(random_variables(config, seed=1)))
    state = with_initial_weights(config, fresh)
    assert_same(
        jax.tree.map(np.asarray, {"params": state.params, "batch_stats": state.batch_stats}), random_variables(config)
    )


def test_settings_of_every_system_exist():
    """A field that was renamed would be missing from files without a word."""
    for name in MODELS:
        config = make_config(name)
        for field in untold_fields({"model.estimator": config.model.estimator}):
            assert conversion._get(config, field) is not None
