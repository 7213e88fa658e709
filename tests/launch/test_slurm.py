"""launch/gpu_slurm.sbatch with stand-ins for srun and scontrol."""

import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "gpu_slurm.sbatch"


@pytest.fixture
def srun(tmp_path, environment, stand_in):
    """Makes srun a script, in that environment; what scontrol is told goes to tmp_path/requeued."""
    stand_in(tmp_path / "bin" / "scontrol", f'echo "$*" >> {tmp_path}/requeued')
    return lambda script: stand_in(tmp_path / "bin" / "srun", script)


@pytest.fixture
def submit(run, tmp_path):
    """The script as SLURM runs it, its --workdir being "tmp_path/a b"."""
    (tmp_path / "a b").mkdir()
    options = ("--config", "configs/demo.py", f"--workdir={tmp_path}/a b")
    return lambda **values: run(SCRIPT.name, *options, SLURM_JOB_ID="17", **values)


def ends(state, tmp_path):
    return f"""echo '{{"state": "{state}", "step": 3, "total_steps": 9}}' > '{tmp_path}/a b/status.json'"""


def test_one_process_for_each_gpu(srun, submit, tmp_path):
    srun(f"printf '%s\\n' \"$@\" > {tmp_path}/call; {ends('finished', tmp_path)}")
    assert submit(PYTHON="python", SLURM_CPUS_PER_TASK="5").returncode == 0
    assert (tmp_path / "call").read_text().splitlines() == [
        "--kill-on-bad-exit=1",
        "--cpus-per-task=5",
        "python",
        "-m",
        "motion_transformer_jax.train",
        "--distributed",
        "--config",
        "configs/demo.py",
        f"--workdir={tmp_path}/a b",
    ]
    assert not (tmp_path / "requeued").exists()


def test_a_stopped_run_is_queued_again(srun, submit, tmp_path):
    srun(ends("stopped", tmp_path))
    assert submit().returncode == 0
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


def test_a_failed_run_is_not(srun, submit, tmp_path):
    srun(f"{ends('stopped', tmp_path)}; exit 7")  # what an earlier job left
    assert submit().returncode == 7
    assert not (tmp_path / "requeued").exists()


def test_a_run_that_says_nothing_is_not(srun, submit, tmp_path):
    srun("true")
    assert submit().returncode != 0
    srun(ends("odd", tmp_path))
    assert submit().returncode == 2
    assert not (tmp_path / "requeued").exists()


def test_sigterm_waits_for_the_processes(srun, environment, tmp_path):
    (tmp_path / "a b").mkdir()
    srun(f"touch {tmp_path}/started; sleep 1; {ends('stopped', tmp_path)}")
    command = ["bash", SCRIPT, "--workdir", f"{tmp_path}/a b"]
    with subprocess.Popen(command, env=environment(SLURM_JOB_ID="17")) as job:
        while not (tmp_path / "started").exists():
            time.sleep(0.02)
            assert job.poll() is None
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=60) == 0
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


def test_a_dry_run_starts_nothing(submit, tmp_path):
    done = submit(DRY_RUN="1", PYTHON="python")
    assert shlex.split(done.stdout) == [
        *[
            "srun",
            "--kill-on-bad-exit=1",
            "--cpus-per-task=8",
            "python",
            "-m",
            "motion_transformer_jax.train",
            "--distributed",
        ],
        *("--config", "configs/demo.py", f"--workdir={tmp_path}/a b"),
    ]


def test_what_slurm_is_asked_for():
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", SCRIPT.read_text(), re.MULTILINE))
    assert asked["signal"] == "TERM@120" and "requeue" in asked, "steps are told to stop, and the job may come back"
    assert asked["gpus-per-node"] == asked["ntasks-per-node"]
    assert "gpus-per-task" not in asked, "JAX picks the GPU of a process by its number among all of its node"
