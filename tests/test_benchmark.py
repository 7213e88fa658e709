import json

import pytest
from corpora import write_corpus

from motion_transformer_jax import benchmark
from motion_transformer_jax.benchmarks import data as data_benchmark
from motion_transformer_jax.benchmarks import grid_sample as warp_benchmark
from motion_transformer_jax.cli import run_command

QUICK = ("data", "--size", "16", "--batch", "2", "--batches", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(data_benchmark, "REPEATS", 2)
    monkeypatch.setattr(data_benchmark, "_WARM_UP", 1)


def test_measures_the_official_way_and_ours(tmp_path, capsys):
    source = write_corpus(tmp_path / "source")
    assert run_command(benchmark.main, [*QUICK, "--source", str(source), "--workers", "0,1", "--json"]) == 0
    speeds = json.loads(capsys.readouterr().out)
    assert [(speed["name"], speed["workers"]) for speed in speeds] == [
        ("official way, PNG files", 0),
        ("ours, PNG", 0),
        ("ours, PNG", 1),
        ("ours, JPEG", 0),
        ("ours, JPEG", 1),
    ]
    for speed in speeds:
        low, high = speed["spread"]
        assert 0 < low <= speed["pairs_per_second"] <= high
        assert (speed["pairs_per_core_second"] is None) == (speed["workers"] > 0)
        assert 50 < speed["memory_mib"][0] < 20_000 and 50 < speed["memory_mib"][1] < 20_000
    assert speeds[2]["memory_mib"][1] > speeds[1]["memory_mib"][1] + 50  # with its worker


def test_prints_a_table_of_puppets(capsys):
    assert run_command(benchmark.main, [*QUICK, "--workers", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training pairs, 16x16, augmentation of vox256"
    assert lines[3].split().count("1.00") == 2
    assert [line.split("  ")[0] for line in lines[3:]] == ["official way, PNG files", "ours, PNG", "ours, JPEG"]


@pytest.fixture
def small_warps(monkeypatch):
    monkeypatch.setattr(warp_benchmark, "SHAPES", ((8, 3), (16, 2)))


def test_warps_are_timed_beside_pytorch(small_warps, capsys):
    assert run_command(benchmark.main, ["grid_sample", "--batch", "2", "--repeats", "3", "--json"]) == 0
    speeds = json.loads(capsys.readouterr().out)
    shapes = [(speed["size"], speed["channels"], speed["backward"]) for speed in speeds]
    assert shapes == [(8, 3, False), (8, 3, True), (16, 2, False), (16, 2, True)]
    for speed in speeds:
        assert speed["difference"] < 1e-3, "both compute the same, gradients too"
        for side in ("ours", "peer"):
            assert 0 < speed[side]["lowest"] <= speed[side]["median"] <= speed[side]["highest"]
        assert speed["ratio"] == pytest.approx(speed["peer"]["median"] / speed["ours"]["median"])


def test_prints_a_table_of_warps(small_warps, capsys):
    assert run_command(benchmark.main, ["grid_sample", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Bilinear warp, batch of 1, float32"
    assert [line.split("  ")[0] for line in lines[3:5]] == [
        "8x8, 3 channels, forward",
        "8x8, 3 channels, and gradients",
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["grid_sample", "--repeats", "0"], "--repeats is 0; expected 1 or more"),
        ([], "the following arguments are required: SUBJECT"),
        (["sleep"], "argument SUBJECT: invalid choice: 'sleep'"),
        (["data", "--batch", "0"], "--batch is 0; expected 1 or more"),
        (["data", "--workers", "one"], "--workers is 'one'; expected numbers such as 0,1,2"),
        (["data", "--source", "nowhere"], "nowhere is not a folder"),
        (["data", "--config.augmentation.hues=1"], "unknown config field"),
    ],
)
def test_mistakes_are_one_line(argv, message, capsys):
    assert run_command(benchmark.main, argv) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
