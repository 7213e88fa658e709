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


def test_an_unknown_beam_runner_is_one_line(tmp_path, source, capsys):
    assert run("--dataset", "folder", "--source", source, "--out", tmp_path / "out", "--beam_runner", "NoRunner") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the pipeline on NoRunner failed") and len(error.splitlines()) == 1
    assert not (tmp_path / "out" / "motion_videos" / "folder" / "1.0.0").exists()
