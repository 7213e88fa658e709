"""The command `train`: arguments in, one call, mistakes out."""

import subprocess
import sys

from motion_transformer_jax import configs, train
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.training import loop

DEMO = f"{configs.__path__[0]}/demo.py"


def test_makes_one_call(monkeypatch):
    calls = []
    monkeypatch.setattr(loop, "train_and_evaluate", lambda config, workdir: calls.append((config, workdir)) or "state")
    argv = ["--config", f"{DEMO}:debug", "--config.train.batch_size=32", "--workdir=runs/x", "--config.seed", "3"]
    assert run_command(train.main, argv) == 0
    ((config, workdir),) = calls
    assert (config.name, config.train.batch_size, config.seed, workdir) == ("demo-debug", 32, 3, "runs/x")


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.train"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "--workdir" in done.stdout and "--config.FIELD=VALUE" in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
