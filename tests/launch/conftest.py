"""Runs the launch scripts with stand-ins for the commands that they call."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parent.parent.parent / "launch"
_OURS = ("NAME", "ZONE", "TYPE", "SPOT", "QUEUED", "PROJECT", "VERSION", "SETUP", "PORT", "PYTHON", "DRY_RUN")
_COMMANDS = ("gcloud", "kubectl", "srun", "scontrol")  # none of them is ever meant to be the machine's own


@pytest.fixture
def stand_in():
    """Writes a command: `stand_in(path, text of a Bash script)`; returns its path."""

    def write(path: Path, script: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


@pytest.fixture
def environment(tmp_path, stand_in):
    """The environment of a script: `environment(NAME=value)`; its PATH starts with tmp_path/bin."""
    for command in _COMMANDS:
        stand_in(tmp_path / "bin" / command, f'echo "{command} $*: not expected" >&2; exit 99')
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    inherited["PATH"] = f"{tmp_path}/bin:{inherited['PATH']}"
    return lambda **values: inherited | values


@pytest.fixture
def run(environment):
    """Runs a launch script: `run(script, *arguments, **environment)`."""

    def call(script, *arguments, **values):
        return subprocess.run(
            ["bash", LAUNCH / script, *arguments],
            env=environment(**values),
            capture_output=True,
            text=True,
            timeout=500,
        )

    return call
