import json
from pathlib import Path

import pytest
from corpora import write_corpus
from fake_checkout import write_checkout

from motion_transformer_jax import benchmark, configs
from motion_transformer_jax.benchmarks import compile as compile_benchmark
from motion_transformer_jax.benchmarks import data as data_benchmark
from motion_transformer_jax.benchmarks import grid_sample as warp_benchmark
from motion_transformer_jax.benchmarks import machine, official
from motion_transformer_jax.cli import run_command

VOX = str(Path(configs.__path__[0]) / "vox256.py")
TINY = ("--config", f"{VOX}:debug", "--config.name=vox256", "--repeats", "2")
QUICK = ("data", "--size", "16", "--batch", "2", "--batches", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(data_benchmark, "REPEATS", 2)
    monkeypatch.setattr(data_benchmark, "_WARM_UP", 1)
    monkeypatch.setattr(machine, "_CPU_SHAPE", (64, 64, 64))
    monkeypatch.setattr(official, "_LIBRARIES", {"torch": "torch"})  # all that the fake needs


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


@pytest.fixture
def checkout(tmp_path):
    pytest.importorskip("torch")
    return write_checkout(tmp_path / "official")


def check_speed(speed):
    for side in (speed["ours"], speed["peer"]):
        rate = side["rate"]
        assert 0 < rate["lowest"] <= rate["median"] <= rate["highest"]
        assert 50 < side["peak_memory_mib"] < 20_000
    assert speed["ratio"] == pytest.approx(speed["ours"]["rate"]["median"] / speed["peer"]["rate"]["median"])
    assert speed["multiply_adds_per_second"] == pytest.approx(speed["multiply_adds"] * speed["ours"]["rate"]["median"])
    assert speed["share"] * speed["num_devices"] * speed["matrix_product_rate"] > 0
    assert speed["compilation"]["lower_secs"] > 0 and all(seconds > 0 for seconds in speed["stages"].values())
    assert (speed["config"], speed["image_size"], speed["dtype"]) == ("vox256", 32, "float32")


def test_animation_is_timed_beside_the_official_code(checkout, tmp_path, capsys):
    trace = tmp_path / "trace"
    argv = ["animate", *TINY, "--frames", "5", "--batch", "3", "--peer", str(checkout), "--profile", str(trace)]
    assert run_command(benchmark.main, [*argv, "--json"]) == 0
    speed = json.loads(capsys.readouterr().out)
    check_speed(speed)
    assert (speed["unit"], speed["batch_size"], speed["num_devices"]) == ("frames", 3, 1)
    assert len(speed["stages"]) == 3
    assert 0 <= speed["difference"]["mean"] <= speed["difference"]["largest"] <= 255
    assert speed["profile"] == str(trace) and list(trace.rglob("*.xplane.pb"))
    assert not list(checkout.rglob("*.pyc")), "the checkout stays as it is"


def test_prints_a_table_of_animation(capsys):
    assert run_command(benchmark.main, ["animate", *TINY, "--frames", "3", "--batch", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Animation, vox256, 3 frames in batches of 3, float32, 1 x cpu"
    assert lines[2].split() == ["frames/s", "lowest", "to", "highest", "ms", "per", "frame", "peak", "MiB"]
    assert lines[3].startswith("ours") and not any("official" in line for line in lines)


def test_training_is_timed_beside_the_official_code(checkout, capsys):
    argv = ["train", *TINY, "--batch", "4", "--devices", "2", "--steps", "2", "--peer", str(checkout)]
    assert run_command(benchmark.main, [*argv, "--json"]) == 0
    speed = json.loads(capsys.readouterr().out)
    check_speed(speed)
    assert (speed["unit"], speed["batch_size"], speed["num_devices"]) == ("pairs", 4, 2)
    assert speed["difference"] is speed["profile"] is None


def test_the_official_networks_are_compiled_where_that_is_asked(tmp_path, capsys):
    pytest.importorskip("torch")
    method = "def compile(self):\n        print(type(self).__name__, file=open(__file__ + '.compiled', 'a'))\n\n    "
    checkout = write_checkout(tmp_path, {"def load_state_dict": f"{method}def load_state_dict"})
    argv = ["animate", *TINY, "--frames", "2", "--batch", "2", "--peer", str(checkout)]
    for options, compiled in ((), []), (("--peer-compiled",), ["Detector", "OcclusionAwareGenerator"]):
        assert run_command(benchmark.main, [*argv, *options]) == 0
        assert sorted(line for path in checkout.rglob("*.compiled") for line in path.read_text().split()) == compiled


def test_a_compiled_peer_needs_a_peer(capsys):
    assert run_command(benchmark.main, ["animate", *TINY, "--peer-compiled"]) == 2
    error = "error: --peer-compiled is about the official code; name its checkout by --peer DIR\n"
    assert capsys.readouterr().err == error


def test_starts_are_timed_with_and_without_a_cache(monkeypatch, capsys):
    monkeypatch.setattr(compile_benchmark, "_PROGRAMS", {"animation": compile_benchmark._PROGRAMS["animation"]})
    assert run_command(benchmark.main, ["compile", "--config", f"{VOX}:debug", "--json"]) == 0
    cold, warm = json.loads(capsys.readouterr().out)
    assert (cold["name"], cold["cached"], warm["name"], warm["cached"]) == ("animation", False, "animation", True)
    for start in (cold, warm):
        assert start["compilation"]["lower_secs"] > 0 and start["compilation"]["compile_secs"] > 0
        assert sum(start["compilation"].values()) < start["first_call_secs"]


def test_official_networks_of_another_shape_are_told(tmp_path, capsys):
    pytest.importorskip("torch")
    checkout = write_checkout(tmp_path, {"assert strict and": "raise RuntimeError('Missing\\nkey') #"})
    assert run_command(benchmark.main, ["animate", *TINY, "--frames", "2", "--peer", str(checkout)]) == 2
    error = capsys.readouterr().err
    assert "builds other networks than this config (Missing key)" in error and len(error.splitlines()) == 1


def test_missing_libraries_of_the_official_code_are_told(checkout, monkeypatch, capsys):
    monkeypatch.setattr(official, "_LIBRARIES", {"no_such_module": "a-package", "torch": "torch"})
    assert run_command(benchmark.main, ["animate", *TINY, "--peer", str(checkout)]) == 2
    assert capsys.readouterr().err == "error: the official code needs a-package; pip install a-package\n"
