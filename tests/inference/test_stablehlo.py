"""Exported programs: they need JAX alone and animate as the Animator does."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export
from tiny_model import random_frames, random_variables, tiny_avd_config, tiny_avd_variables, tiny_config, tiny_variables

import motion_transformer_jax
from motion_transformer_jax import convert
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.configs import demo
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.stablehlo import export_model, readme
from motion_transformer_jax.training.weights_folder import save_variables

# Rounding: frames are compared in grey levels of 255.
GREY_LEVELS = 1
WITHOUT_THIS_PACKAGE = """
import sys
sys.modules |= dict.fromkeys(["motion_transformer_jax", "flax", "orbax", "ml_collections"])  # importing them fails
"""
ANIMATE = """
images = np.load("images.npz")
results = {f"batch_{n}": np.stack([*animate(images["source"], images["driving"], batch_size=n)]) for n in (1, 3)}
np.savez("results.npz", **results)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_variables(folder / "run", tiny_config(), tiny_variables())
    save_variables(folder / "avd", tiny_avd_config(), tiny_avd_variables())
    return folder


@pytest.fixture(scope="module")
def exported(runs):
    """A folder as the command makes it."""
    argv = ["to-stablehlo", str(runs / "run"), "--out", str(runs / "exported")]
    assert run_command(convert.main, argv) == 0
    return runs / "exported"


@pytest.fixture(scope="module")
def avd_exported(runs):
    """The same of a model with a disentangler."""
    argv = ["to-stablehlo", str(runs / "avd"), "--out", str(runs / "avd-exported")]
    assert run_command(convert.main, argv) == 0
    return runs / "avd-exported"


def code_in(text):
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


def animated_by(code, folder, source, driving):
    """What a README's code makes of the programs in a folder, by batch size."""
    np.savez(folder / "images.npz", source=source, driving=driving)
    subprocess.run([sys.executable, "-c", WITHOUT_THIS_PACKAGE + code + ANIMATE], cwd=folder, check=True, timeout=300)
    with np.load(folder / "results.npz") as results:
        return dict(results)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "adapt_scale"), [("relative", False), ("relative", True), ("absolute", False), ("avd", False)]
)
def test_the_code_in_the_readme_animates_without_this_package_as_the_model_does(request, mode, adapt_scale):
    folder = request.getfixturevalue("avd_exported" if mode == "avd" else "exported")
    config, variables = (
        (tiny_avd_config(), tiny_avd_variables()) if mode == "avd" else (tiny_config(), tiny_variables())
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    config.animate.mode, config.animate.adapt_scale = mode, adapt_scale
    source, driving = random_frames(1, seed=5)[0], random_frames(4, seed=6)
    expected = np.stack(list(Animator(config, variables).animate(source, driving)))  # in the model's own mode
    assert np.ptp(expected.astype(int), axis=0).max() > 50  # the figure moves
    text = readme(manifest | {"mode": mode, "adapt_scale": adapt_scale})
    results = animated_by(code_in(text), folder, source, driving)
    assert [*results] == ["batch_1", "batch_3"]
    for frames in results.values():
        assert frames.dtype == np.uint8
        np.testing.assert_allclose(frames.astype(int), expected.astype(int), atol=GREY_LEVELS)


def test_the_readme_has_the_manifests_mode(exported):
    """The tiny model's is relative; of the others the text tells."""
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["mode"] == "relative" and (exported / "README.md").read_text() == readme(manifest)
    code = {mode: code_in(readme(manifest | {"mode": mode})) for mode in ("relative", "absolute", "avd")}
    assert "def relative" in code["relative"] and "disentangler" in code["avd"]
    assert "initial" not in code["absolute"] and "disentangler" not in code["absolute"]
    for text in code.values():
        compile(text, "README.md", "exec")


def test_the_manifest_describes_the_programs(exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["image_size"] == 32 and manifest["num_keypoints"] == tiny_config().model.num_keypoints
    assert {program["file"] for program in manifest["programs"].values()} == {
        path.name for path in exported.glob("*.jaxexport")
    }
    for program in manifest["programs"].values():
        loaded = export.deserialize(bytearray((exported / program["file"]).read_bytes()))
        assert loaded.platforms == tuple(manifest["platforms"]) == ("cpu", "cuda", "tpu")
        described = jax.tree.leaves(program["arguments"], is_leaf=lambda node: "shape" in node)
        shapes = [tuple(map(str, array["shape"])) for array in described]
        assert shapes == [tuple(map(str, array.shape)) for array in loaded.in_avals]
        assert [array["dtype"] for array in described] == [array.dtype.name for array in loaded.in_avals]
    estimator = manifest["programs"]["estimator"]
    assert estimator["arguments"] == [{"shape": ["b", 32, 32, 3], "dtype": "uint8"}]
    assert estimator["result"]["affine"]["shape"] == ["b", manifest["num_keypoints"], 2, 2]


def test_programs_name_no_file_of_this_machine(exported):
    folder = motion_transformer_jax.__path__[0].encode()
    for path in exported.glob("*.jaxexport"):
        content = path.read_bytes()
        assert folder not in content and b".py" not in content


@pytest.mark.parametrize("variant", ["fomm", "mraa"])
def test_every_system_is_exported(variant):
    config = demo.get_config(f"{variant},debug")
    programs = export_model(config, random_variables(config))
    assert [*programs] == ["estimator", "encoder", "generator"]
    motion = jax.tree.unflatten(programs["estimator"].out_tree, programs["estimator"].out_avals)
    assert ("covariance" in motion) == (variant == "mraa")
    assert str(programs["generator"].out_avals[0].shape) == "(b, 32, 32, 3)"


def test_the_disentangler_is_exported_where_there_is_one(avd_exported):
    assert "disentangler" in (avd_exported / "README.md").read_text()
    programs = {
        path.stem: jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
        for path in avd_exported.glob("*.jaxexport")
    }
    source, driving = random_frames(1, seed=5), random_frames(2, seed=6)
    source_motion, driving_motion = programs["estimator"](source), programs["estimator"](driving)
    motion = programs["disentangler"](source_motion, driving_motion)
    animator = Animator(tiny_avd_config(), tiny_avd_variables(), batch_size=2)
    frames = list(animator.animate_with_details(source[0], driving, mode="avd"))
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(motion["keypoints"][index], frame.motion.keypoints[0], atol=1e-5)
        np.testing.assert_allclose(motion["affine"][index], frame.motion.affine[0], atol=1e-5)


def test_an_earlier_export_alone_is_replaced(runs, exported, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["to-stablehlo", str(runs / "run"), "--out", str(out)]
    out.mkdir()
    (out / "thesis.tex").touch()
    for more in ([], ["--overwrite"]):
        assert run_command(convert.main, argv + more) == 2
        assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]
    assert "thesis.tex" in capsys.readouterr().err
    (out / "thesis.tex").rename(tmp_path / "thesis.tex")
    assert run_command(convert.main, argv) == 0
    assert run_command(convert.main, argv) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    (out / "generator.jaxexport").write_bytes(b"old")
    assert run_command(convert.main, [*argv, "--overwrite"]) == 0
    assert (out / "generator.jaxexport").stat().st_size == (exported / "generator.jaxexport").stat().st_size
    assert capsys.readouterr().out.startswith(f"{out}: estimator, encoder, generator of step 0 for cpu, cuda, tpu")


@pytest.mark.parametrize(
    ("run", "out", "options", "message"),
    [
        ("none", "new", [], "no folder none"),
        (".", "new", [], "no config.json in ."),
        ("run", "no/new", [], "there is no folder"),
        ("run", "file", [], "file exists; pass --overwrite"),
        ("run", "file", ["--overwrite"], "file holds something else than an exported model (a file)"),
        ("run", "new", ["--step", "7"], "no step 7 in"),
    ],
)
def test_mistakes_leave_nothing(runs, tmp_path, monkeypatch, capsys, run, out, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    where = str(runs / "run") if run == "run" else run
    assert run_command(convert.main, ["to-stablehlo", where, "--out", out, *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and message in shown.err and shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
