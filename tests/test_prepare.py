import json

import numpy as np
import pytest
from corpora import write_corpus
from PIL import Image

from motion_transformer_jax import prepare
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.builders import MotionVideos
from motion_transformer_jax.data.frame_records import ENCODINGS


@pytest.fixture
def source(tmp_path):
    return write_corpus(tmp_path / "source", train=4, test=2)


def run(*argv):
    return run_command(prepare.main, [str(argument) for argument in argv])


def test_choices_are_those_of_the_builder():
    assert set(prepare.DATASETS) == set(MotionVideos.builder_configs)
    assert prepare.ENCODINGS == ENCODINGS


def test_prepares_and_inspects(tmp_path, source, capsys):
    out = tmp_path / "out"
    options = ("--size", 8, "--encoding", "jpeg", "--jobs", 1)
    assert run("--dataset", "mgif256", "--source", source, "--out", out, *options) == 0
    printed = capsys.readouterr().out
    folder = out / "motion_videos" / "mgif256" / "1.0.0"
    assert str(folder) in printed
    assert "train  4       4           12      3 / 3 / 3       25   8x8" in printed
    assert json.loads((folder / "metadata.json").read_text())["encoding"] == "jpeg"

    assert run("inspect", out) == 0
    printed = capsys.readouterr().out
    assert "test   2       2           6 " in printed
    assert f"{folder / 'pairs.png'}: random pairs before and after the augmentation of mgif256" in printed
    sheet = np.asarray(Image.open(folder / "pairs.png"))
    assert sheet.ndim == 3 and sheet.std() > 10
    other = tmp_path / "other.png"
    assert run("inspect", out, "--sheet", other, "--config.augmentation.hue=0.0", "--seed", 0) == 0
    assert (np.asarray(Image.open(other)) != sheet).any()


def test_beam_is_another_way_to_run(tmp_path, source, capsys):
    options = ("--size", 8, "--beam_runner", "DirectRunner", "--beam_options", "direct_num_workers=1")
    assert run("--dataset", "folder", "--source", source, "--out", tmp_path / "out", *options) == 0
    assert "train  4 " in capsys.readouterr().out


def test_identities_in_both_splits_are_told(tmp_path, source, capsys):
    (source / "test" / "id1#7.png").write_bytes((source / "train" / "id1#0.png").read_bytes())
    assert run("--dataset", "folder", "--source", source, "--out", tmp_path / "out", "--size", 8, "--jobs", 1) == 0
    assert "Note: 1 identities are in both splits, such as id1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop", "4:4"], "--crop is '4:4'; expected center, stretch, or a box W:H:X:Y in pixels"),
        (["--max-bad", "lots"], "--max-bad is 'lots'; expected a share in percent, 0 to 100"),
        (["--max-bad", "101"], "--max-bad is '101'; expected a share"),
        (["--jobs", "0"], "--jobs is 0; expected 1 or more"),
        (["--size", "-3"], "--size is -3; expected pixels, 1 or more"),
        (["--encoding", "gif"], "invalid choice: 'gif'"),
        (["--source", "nowhere"], "nowhere is not a folder; expected a folder with train/ and test/"),
        (["--train-list", "nowhere.txt"], "cannot read nowhere.txt (No such file or directory)"),
        (["--pairs", "nowhere.csv"], "cannot read nowhere.csv"),
        (["--beam_runner", "NoRunner"], "the pipeline on NoRunner failed"),
    ],
)
def test_mistakes_are_one_line(tmp_path, source, capsys, options, message):
    assert run("--dataset", "folder", "--source", source, "--out", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and len(error.splitlines()) == 1
    assert not (tmp_path / "out" / "motion_videos" / "folder" / "1.0.0").exists()


def test_inspecting_something_else_is_one_line(tmp_path, capsys):
    assert run("inspect", tmp_path) == 2
    assert "holds no prepared dataset" in capsys.readouterr().err
