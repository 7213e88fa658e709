"""The command `capacity`: arguments in, a table or JSON out."""

import json
import subprocess
import sys

from motion_transformer_jax import capacity, configs
from motion_transformer_jax.cli import parse_config, run_command
from motion_transformer_jax.evaluation import capacity as evaluation
from motion_transformer_jax.evaluation.capacity import Capacity, PosterFigures, config_capacities
from motion_transformer_jax.evaluation.multiply_adds import MultiplyAdds

DEMO = f"{configs.__path__[0]}/demo.py"
LINES = [
    Capacity("a network", "taichi256", 256, 12_234_310, MultiplyAdds(7_492_480_256, 99), PosterFigures(12.23, 7.54)),
    Capacity("another", "taichi256-mraa", 256, 14_146_728, MultiplyAdds(10**9), PosterFigures(14.2), "it is known"),
    Capacity("a third", "taichi256-no_position", 256, 1_000_000, MultiplyAdds(10**9, fixed=2 * 10**9)),
]
TABLE = """\
Poster's capacity table, frames of 256x256

network    parameters   poster  ratio  multiply-adds  poster  ratio  activations    fixed
a network    12.234 M  12.23 M  1.000        7.492 G  7.54 G  0.994     <0.001 G        0
another      14.147 M  14.20 M  0.996        1.000 G       -      -            0        0
a third       1.000 M        -      -        1.000 G       -      -            0  2.000 G

multiply-adds: of """


def test_the_posters_table(monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "poster_capacities", lambda: LINES)
    assert run_command(capacity.main, []) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(TABLE)
    assert shown.endswith(
        "Differs from the poster: another: 14.15 M parameters, 14.20 M on the poster\nNote: another: it is known\n"
    )
    assert max(map(len, shown.splitlines())) <= 120


def test_the_posters_table_as_json(monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "poster_capacities", lambda: LINES)
    assert run_command(capacity.main, ["--json"]) == 0
    first, second, third = json.loads(capsys.readouterr().out)
    assert first == {
        "network": "a network",
        "config": "taichi256",
        "image_size": 256,
        "parameters": 12_234_310,
        "multiply_adds": {"layers": 7_492_480_256, "activations": 99, "fixed": 0},
        "poster": {"parameters_millions": 12.23, "multiply_adds_billions": 7.54},
        "note": "",
        "misses": [],
    }
    assert second["misses"] == ["14.15 M parameters, 14.20 M on the poster"] and second["note"] == "it is known"
    assert third["poster"] is None


def test_a_config_as_json_and_back(capsys):
    argv = ["--config", f"{DEMO}:mraa,debug", "--config.discriminator.enabled=true", "--json"]
    assert run_command(capacity.main, argv) == 0
    config = parse_config(f"{DEMO}:mraa,debug", ["--config.discriminator.enabled=true"])
    read = json.loads(capsys.readouterr().out)
    assert [line.pop("misses") for line in read] == [[]] * 5
    read = [Capacity(**{**line, "multiply_adds": MultiplyAdds(**line["multiply_adds"])}) for line in read]
    assert read == config_capacities(config)


def test_a_config_as_a_table(capsys):
    assert run_command(capacity.main, ["--config", f"{DEMO}:debug", "--config.generator.base_features=64"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "demo-debug, frames of 32x32"
    assert shown[2].split() == ["network", "parameters", "multiply-adds", "activations", "fixed"]
    assert [line.split("  ")[0] for line in shown[3:6]] == ["motion estimator", "dense motion", "generator"]
    config = parse_config(f"{DEMO}:debug", ["--config.generator.base_features=64"])
    generator = config_capacities(config)[2]
    assert shown[5].split()[1:5] == [
        f"{generator.parameters / 1e6:.3f}",
        "M",
        f"{generator.multiply_adds.layers / 1e9:.3f}",
        "G",
    ]
    assert len({len(line) for line in shown[2:6]}) == 1


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.capacity", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--json" in done.stdout and "--config.FIELD=VALUE" in done.stdout


def test_help_imports_no_jax():
    code = "import sys, motion_transformer_jax.capacity; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
