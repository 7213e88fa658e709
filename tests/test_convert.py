"""The command `convert`: files in, files out, one line for every mistake."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_model import random_frames
from torch_files import make_config, official_state_dicts, random_variables, write_official

from motion_transformer_jax import animate, configs, convert
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.torch_io.pth import read_torch_file, write_torch_file
from motion_transformer_jax.torch_io.recognition import SYSTEMS
from motion_transformer_jax.training import loop
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.weights_folder import save_variables

torch = pytest.importorskip("torch")
VOX = f"{configs.__path__[0]}/vox256.py"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """An official file and a run."""
    path = tmp_path_factory.mktemp("originals")
    write_official(path / "fomm.pth.tar", make_config("fomm"))
    save_variables(path / "run", make_config("mtia"), random_variables(make_config("mtia")))
    return path


@pytest.fixture
def folder(originals, tmp_path, monkeypatch):
    """The working folder, with copies of them."""
    monkeypatch.chdir(shutil.copytree(originals, tmp_path / "work"))
    return tmp_path / "work"


def test_from_torch_tells_what_it_assumed(folder, capsys):
    argv = ["from-torch", "fomm.pth.tar", "--out", "new", "--system", "fomm", "--config.model.image_size=32"]
    assert (
        run_command(convert.main, [*argv, "--config.keypoint_detector.padding", "3", "--noconfig.generator.skips"]) == 0
    )
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()
    assert first.startswith("new: fomm, 0.08 M parameters of 117 tensors")
    assert second == (
        "assumed, since nothing in the file tells: --config.animate.mode=relative "
        "--config.keypoint_detector.temperature=0.1; pass other values to change them"
    )
    assert shown.err == ""
    config = load_variables("new")[0]
    assert (config.model.image_size, config.keypoint_detector.padding, config.name) == (32, 3, "fomm")


def test_from_torch_with_a_config(folder, capsys):
    argv = ["from-torch", "fomm.pth.tar", "--out", "new", "--config", f"{VOX}:fomm,debug"]
    assert run_command(convert.main, argv) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert load_variables("new")[0].name == "vox256-fomm-debug"


def test_to_torch(folder, capsys):
    assert run_command(convert.main, ["to-torch", "run", "--out", "x.safetensors", "--step", "best"]) == 0
    assert capsys.readouterr().out == "x.safetensors: motion_transformer, 0.44 M parameters in 208 tensors\n"
    assert read_torch_file("x.safetensors").state_dicts.keys() == {"generator", "kp_detector"}


def test_inspect(folder, capsys):
    state_dicts = official_state_dicts(make_config("mraa_zero")) | {"bg_predictor": {}}
    state_dicts["generator"]["final.bias"] = np.full(3, np.nan, np.float16)
    write_torch_file("x.pth", state_dicts, {"epoch_reconstruction": 99, "note": "two\nlines"})
    assert run_command(convert.main, ["inspect", "x.pth"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "generator: 84 tensors (72 float32, 11 int64, 1 float16), 55,593 parameters"
    assert lines[1] == "region_predictor: 31 tensors (27 float32, 4 int64), 14,328 parameters"
    assert lines[2:4] == ["bg_predictor: 0 tensors, 0 parameters", "epoch_reconstruction: 99"]
    assert lines.pop(4) == r"note: 'two\nlines'"
    assert lines[4].startswith("recognised: mraa, model.num_keypoints=4, region_predictor.base_features=8, ")
    assert "background.kind=zero" in lines[4]
    assert lines[5:] == ["NaN or infinity in generator.final.bias"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"features.0.weight": 64}, "recognised: a VGG, for --config.perceptual.path"),
        (
            {"module.stage2.0.branches.0.0.conv1.weight": 48},
            "recognised: an HRNet of width 48, for --config.train.backbone_path",
        ),
        ({"weight": 3}, "not recognised: no motion estimator of .* among one state dict .1 tensors"),
    ],
)
def test_inspect_single_state_dicts(tmp_path, capsys, content, line):
    torch.save({key: torch.zeros(size) for key, size in content.items()}, tmp_path / "x.pth")
    assert run_command(convert.main, ["inspect", str(tmp_path / "x.pth")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("one state dict: 1 tensors (1 float32), ")
    assert line.split(" .* ")[0] in shown


def test_without_pytorch_the_extra_is_named(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for argv in ("from-torch fomm.pth.tar --out new", "to-torch run --out x.pth", "inspect fomm.pth.tar"):
        assert run_command(convert.main, argv.split()) == 2
        file = next(name for name in argv.split() if ".pth" in name)
        needed = f"error: {file} needs PyTorch; pip install '.[torch]' in the clone"
        assert needed in capsys.readouterr().err
    assert not {"new", "x.pth"} & set(os.listdir())


def test_training_in_the_folder_is_refused(folder, capsys):
    """Before anything is computed, with the way to start from the weights."""
    config = make_config("mtia")
    config.perceptual.weights = "random"

    def train(argv):
        loop.train_and_evaluate(config, "run")

    before = sorted(folder.rglob("*"))
    assert run_command(train, []) == 2
    assert "run holds converted weights only" in (shown := capsys.readouterr().err)
    assert "--config.train.init_from=run" in shown and sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_converted_weights_animate(folder, capsys):
    assert run_command(convert.main, ["to-torch", "run", "--out", "x.pth"]) == 0
    assert run_command(convert.main, ["from-torch", "x.pth", "--out", "new"]) == 0
    Image.fromarray(random_frames(1)[0]).save("source.png")
    write_video("driving.mp4", random_frames(2), fps=5)
    for run in ("run", "new"):
        argv = ["--checkpoint", run, "--source", "source.png", "--driving", "driving.mp4", "--out", f"{run}.gif"]
        assert run_command(animate.main, argv) == 0
    assert (folder / "new.gif").read_bytes() == (folder / "run.gif").read_bytes()


def test_names_of_the_systems():
    assert tuple(SYSTEMS) == convert.SYSTEMS


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.convert"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "from-torch" in done.stdout and "inspect FILE" in done.stdout
    done = subprocess.run([*command, "from-torch", "--help"], capture_output=True, text=True, check=True)
    assert "--config.FIELD=VALUE" in done.stdout
