"""launch/local_pod.sh: on stand-ins for Python, and one real run of two processes."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
OPTIONS = ("--config", "configs/demo.py", "--workdir", "runs/a b")


def test_each_process_gets_its_number(run, stand_in, tmp_path):
    python = stand_in(tmp_path / "python", f'echo "$XLA_FLAGS|$*" >> {tmp_path}/calls')
    assert run("local_pod.sh", "3", "2", *OPTIONS, PYTHON=str(python), PORT="4321", XLA_FLAGS="").returncode == 0
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert calls == [
        " --xla_force_host_platform_device_count=2|-m motion_transformer_jax.train --config configs/demo.py "
        f"--workdir runs/a b --coordinator 127.0.0.1:4321 --num-processes 3 --process-id {i}"
        for i in range(3)
    ]


def test_when_one_fails_all_are_ended(run, stand_in, tmp_path):
    pid = tmp_path / "pid"
    script = f"""if [[ "$*" == *"--process-id 1" ]]; then
    until [[ -s {pid} ]]; do sleep 0.02; done
    exit 7
fi
echo $$ > {pid}
exec sleep 400"""
    python = stand_in(tmp_path / "python", script)
    assert run("local_pod.sh", "2", "1", *OPTIONS, PYTHON=str(python)).returncode == 7
    assert not Path("/proc", pid.read_text().strip()).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_all_are_waited_for(environment, stand_in, tmp_path, number):
    script = f"""trap 'sleep 1; touch {tmp_path}/saved-${{*: -1}}; exit 0' TERM
touch {tmp_path}/started-${{*: -1}}
for _ in {{1..600}}; do sleep 0.1; done; exit 9"""
    python = stand_in(tmp_path / "python", script)
    command = ["bash", LAUNCH / "local_pod.sh", "2", "1", *OPTIONS]
    with subprocess.Popen(command, env=environment(PYTHON=str(python))) as pod:
        while len(list(tmp_path.glob("started-*"))) < 2:
            time.sleep(0.02)
            assert pod.poll() is None
        pod.send_signal(number)
        assert pod.wait(timeout=60) == 0
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]


def test_a_dry_run_starts_nothing(run):
    pod = run("local_pod.sh", "2", "4", *OPTIONS, DRY_RUN="1", PYTHON="/nowhere")
    assert pod.returncode == 0 and pod.stderr == ""
    lines = [shlex.split(line) for line in pod.stdout.splitlines()]
    assert [line[-2:] for line in lines] == [["--process-id", "0"], ["--process-id", "1"]]
    assert lines[0][0] == "JAX_PLATFORMS=cpu" and "runs/a b" in lines[0]


@pytest.mark.slow
def test_two_processes_train_one_model(run, tmp_path):
    config = LAUNCH.parent / "configs" / "vox256.py"
    options = ("--config", f"{config}:debug", "--workdir", str(tmp_path / "run"))
    fields = ("--config.train.batch_size=2", "--config.train.num_steps=2")
    flags = {"PYTHON": sys.executable, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = run("local_pod.sh", "2", "1", *options, *fields, **flags)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "on 2 x cpu, batch of 2" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss/total" in line] == [2], "one process writes"
    [progress] = (tmp_path / "run" / "checkpoints" / "2" / "progress").rglob("metadata")
    assert json.loads(progress.read_text())["progress"]["pairs"] == {"next_pair": 4}
