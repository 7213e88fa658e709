"""The training command killed without warning, and started again."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import pytest

from motion_transformer_jax import configs

NUM_STEPS = 10
SECONDS = 400


def command(workdir) -> list[str]:
    changes = {
        "data.puppet_frames": 4,
        "train.num_steps": NUM_STEPS,
        "train.log_every_steps": 1,
        "train.validate_every_steps": NUM_STEPS,
        "train.picture_every_steps": NUM_STEPS,
        "train.checkpoint_every_steps": 2,
    }
    module = [sys.executable, "-m", "motion_transformer_jax.train", "--workdir", str(workdir)]
    config = ["--config", f"{configs.__path__[0]}/demo.py:fomm,debug"]
    return [*module, *config, *(f"--config.{name}={value}" for name, value in changes.items())]


def losses(workdir) -> list[dict]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train/pairs_per_second"} for line in lines]


def kill_after(workdir, step: int, environment: dict) -> None:
    process = subprocess.Popen(command(workdir), env=environment, stderr=subprocess.DEVNULL)
    metrics, deadline = workdir / "metrics.jsonl", time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            break
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.long  # test_resume.py has a stop, and the fault campaign kills
def test_killed_at_a_random_step_it_goes_on_bit_for_bit(tmp_path):
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        # One device compiles and saves faster.
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1"),
    }
    subprocess.run(command(tmp_path / "whole"), env=environment, check=True, timeout=SECONDS)
    step = random.randint(3, NUM_STEPS - 2)
    kill_after(tmp_path / "killed", step, environment)
    assert not (tmp_path / "killed" / "checkpoints" / str(NUM_STEPS)).exists()
    subprocess.run(command(tmp_path / "killed"), env=environment, check=True, timeout=SECONDS)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole"), f"killed after step {step}"
