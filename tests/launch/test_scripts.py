"""The launch scripts: what they would run, on stand-ins, and one real run of two processes."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parent.parent.parent / "launch"
SCRIPTS = sorted(path.name for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch"))
OPTIONS = ("--config", "configs/demo.py", "--workdir", "runs/a b")


def run(script, *arguments, **environment):
    return subprocess.run(
        ["bash", LAUNCH / script, *arguments],
        env={name: value for name, value in os.environ.items() if name not in ("NAME", "ZONE", "TYPE")} | environment,
        capture_output=True,
        text=True,
        timeout=500,
    )


def stand_in(path, script):
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck(script):
    checked = subprocess.run(["shellcheck", LAUNCH / script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_local_pod_starts_each_process_with_its_number(tmp_path):
    python = stand_in(tmp_path / "python", f'echo "$XLA_FLAGS|$*" >> {tmp_path}/calls')
    assert run("local_pod.sh", "3", "2", *OPTIONS, PYTHON=str(python), PORT="4321", XLA_FLAGS="").returncode == 0
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert calls == [
        " --xla_force_host_platform_device_count=2|-m motion_transformer_jax.train --config configs/demo.py "
        f"--workdir runs/a b --coordinator 127.0.0.1:4321 --num-processes 3 --process-id {i}"
        for i in range(3)
    ]


def test_local_pod_ends_all_when_one_fails(tmp_path):
    python = stand_in(tmp_path / "python", '[[ "$*" == *"--process-id 1" ]] && exit 7\nexec sleep 400')
    assert run("local_pod.sh", "2", "1", *OPTIONS, PYTHON=str(python)).returncode == 7


def test_dry_runs_start_nothing():
    pod = run("local_pod.sh", "2", "4", *OPTIONS, DRY_RUN="1", PYTHON="/nowhere")
    assert pod.returncode == 0 and len(pod.stdout.splitlines()) == 2
    job = run("gpu_slurm.sbatch", *OPTIONS, DRY_RUN="1", PYTHON="python")
    assert job.stdout == "srun python -m motion_transformer_jax.train --distributed " + " ".join(OPTIONS) + "\n"


@pytest.fixture
def gcloud(tmp_path):
    """Records its calls, one argument a line."""
    stand_in(tmp_path / "gcloud", f'printf "%s\\n" "$@" "" >> {tmp_path}/calls')

    def call(*arguments, **environment):
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = run("tpu_pod.sh", *arguments, PATH=path, **{"NAME": "mine", "ZONE": "here"} | environment)
        assert done.returncode == 0, done.stderr
        return [each.splitlines() for each in (tmp_path / "calls").read_text().split("\n\n") if each]

    return call


def test_tpu_pod_creates_a_preemptible_slice(gcloud):
    [call] = gcloud("create", TYPE="v4-32", SPOT="1", PROJECT="ours")
    assert call == [
        "compute",
        "tpus",
        "tpu-vm",
        "create",
        "mine",
        "--accelerator-type",
        "v4-32",
        "--version",
        "tpu-ubuntu2204-base",
        "--spot",
        "--zone",
        "here",
        "--project",
        "ours",
    ]


def test_tpu_pod_trains_on_all_hosts(gcloud, tmp_path):
    [call] = gcloud("train", *OPTIONS)
    assert call[:4] == ["compute", "tpus", "tpu-vm", "ssh"]
    assert call[4:7] == ["mine", "--worker", "all"]
    command = call[call.index("--command") + 1]
    # What a host's shell makes of it.
    home = tmp_path / "home"
    (home / "motion_transformer_jax" / ".venv" / "bin").mkdir(parents=True)
    stand_in(home / "motion_transformer_jax" / ".venv" / "bin" / "python", 'printf "%s\\n" "$@"')
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    stand_in(bin_folder / "pkill", "exit 1")
    environment = os.environ | {"HOME": str(home), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", command + "\nwait"], cwd=home, env=environment, check=True, timeout=60)
    expected = ["-m", "motion_transformer_jax.train", "--distributed", *OPTIONS]
    assert (home / "train.log").read_text().splitlines() == expected


def test_tpu_pod_installs_what_is_committed(gcloud):
    copy, install = gcloud("install")
    assert copy[3] == "scp" and copy[5] == "mine:motion_transformer_jax.tar.gz" and copy[6:8] == ["--worker", "all"]
    assert "pip install --python .venv/bin/python -e '.[tpu,torch]'" in install[install.index("--command") + 1]


def test_tpu_pod_deletes(gcloud):
    [call] = gcloud("delete")
    assert call[3:] == ["delete", "mine", "--quiet", "--zone", "here"]


@pytest.mark.parametrize(
    ("script", "arguments", "environment", "message"),
    [
        ("local_pod.sh", (), {}, "expected the numbers of processes and of devices"),
        ("local_pod.sh", ("0", "1"), {}, "expected the numbers of processes and of devices"),
        ("gpu_slurm.sbatch", (), {}, "no options for train"),
        ("tpu_pod.sh", ("create",), {}, "NAME and ZONE are not both set"),
        ("tpu_pod.sh", ("create",), {"NAME": "a", "ZONE": "b"}, "TYPE is not set"),
        ("tpu_pod.sh", ("train",), {"NAME": "a", "ZONE": "b"}, "no options for train"),
        ("tpu_pod.sh", ("start",), {"NAME": "a", "ZONE": "b"}, "the action is 'start'"),
    ],
)
def test_mistakes_are_one_line(script, arguments, environment, message):
    done = run(script, *arguments, **environment)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path):
    config = LAUNCH.parent / "configs" / "vox256.py"
    options = ("--config", f"{config}:debug", "--workdir", str(tmp_path / "run"))
    fields = ("--config.train.batch_size=2", "--config.train.num_steps=2")
    done = run(
        "local_pod.sh",
        "2",
        "1",
        *options,
        *fields,
        PYTHON=sys.executable,
        XLA_FLAGS="--xla_backend_optimization_level=0",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "on 2 x cpu, batch of 2" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss/total" in line] == [2], "one process writes"
    [progress] = (tmp_path / "run" / "checkpoints" / "2" / "progress").rglob("metadata")
    assert len(json.loads(progress.read_text())["processes"]) == 2
