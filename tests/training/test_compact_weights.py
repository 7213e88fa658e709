"""Compact weights: half the size, read like a run, by name where they come with the package."""

import re

import jax
import numpy as np
import pytest
from tiny_model import save_checkpoint

from motion_transformer_jax import bundled, convert
from motion_transformer_jax.bundled import bundled_names, run_folder
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.configs import demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.checkpoint import chosen_step, load_variables, variable_shapes
from motion_transformer_jax.training.compact_weights import save_compact
from motion_transformer_jax.training.saved_config import load_config


@pytest.fixture(scope="module")
def model():
    config = demo.get_config("debug")
    config.optimizer.ema_decay = 0.0
    rng = np.random.default_rng(0)
    draw = lambda x: rng.normal(size=x.shape).astype(np.float32)  # noqa: E731
    return config, jax.tree.map(draw, variable_shapes(config))


def test_round_trip_in_half_precision(model, tmp_path):
    config, variables = model
    count = sum(array.size for array in jax.tree.leaves(variables))
    assert save_compact(tmp_path / "given", config, variables) < 2.3 * count + 20_000
    assert sorted(path.name for path in (tmp_path / "given").iterdir()) == ["config.json", "weights.npz"]
    loaded_config, loaded = load_variables(tmp_path / "given")
    assert loaded_config.to_dict() == config.to_dict()
    rounded = jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), variables["params"])
    jax.tree.map(np.testing.assert_array_equal, loaded, {**variables, "params": rounded})
    assert chosen_step(tmp_path / "given") == chosen_step(tmp_path / "given", "best") == 0
    with pytest.raises(UserError, match=r"no step 7 .* of one step alone"):
        load_variables(tmp_path / "given", step=7)


def test_weights_that_do_not_fit(model, tmp_path):
    config, variables = model
    large = jax.tree.map(lambda x: x + 1e6, variables)
    with pytest.raises(UserError, match="beyond the range of half precision"):
        save_compact(tmp_path / "given", config, large)
    assert not list(tmp_path.iterdir())


def test_command(model, tmp_path, capsys):
    config, variables = model
    save_checkpoint(tmp_path / "run", config, variables)
    argv = ["compact", str(tmp_path / "run"), "--out", str(tmp_path / "given")]
    assert run_command(convert.main, argv) == 0
    assert re.fullmatch(r".*given: 0\.\d MB\n", capsys.readouterr().out)
    rounded = jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), variables["params"])
    jax.tree.map(np.testing.assert_array_equal, load_variables(tmp_path / "given")[1]["params"], rounded)
    assert run_command(convert.main, argv) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert run_command(convert.main, [*argv, "--overwrite"]) == 0
    for out in ("run", "given/config.json"):  # a run is not replaced
        assert run_command(convert.main, [*argv[:3], str(tmp_path / out), "--overwrite"]) == 2
        assert "holds something else than compact weights" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints").is_dir()


def test_damaged_and_foreign_files(model, tmp_path):
    config, variables = model
    save_compact(tmp_path, config, variables)
    weights = (tmp_path / "weights.npz").read_bytes()
    (tmp_path / "weights.npz").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match=r"weights\.npz cannot be read"):
        load_variables(tmp_path)
    save_compact(tmp_path, config, {"params": {"generator": variables["params"]["generator"]}}, overwrite=True)
    with pytest.raises(UserError, match="which the config's model has"):
        load_variables(tmp_path)


def test_models_of_the_package_have_names(model, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no folder stick; expected the folder of a training run"):
        load_config("stick")
    (tmp_path / "package").mkdir()
    save_compact(tmp_path / "package" / "stick", *model)
    assert bundled_names() == ["stick"]
    assert load_config("stick").to_dict() == model[0].to_dict()
    with pytest.raises(UserError, match=r"no folder stuck; .* that come with the package: stick"):
        load_config("stuck")
    (tmp_path / "stick").mkdir()
    assert run_folder("stick") == run_folder(tmp_path / "stick").relative_to(tmp_path)
