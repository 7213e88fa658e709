"""What the launch scripts have in common."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(path.name for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch"))
TPU = {"NAME": "a", "ZONE": "b"}


def shellcheck(path):
    checked = subprocess.run([Path(sys.executable).with_name("shellcheck"), path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck(script):
    shellcheck(LAUNCH / script)


def test_shellcheck_of_the_jobs_command(tmp_path):
    _, job = yaml.safe_load_all((LAUNCH / "gke_job.yaml").read_text())
    [container] = job["spec"]["template"]["spec"]["containers"]
    command = tmp_path / "command.sh"
    command.write_text("#!/usr/bin/env bash\n" + container["command"][2])
    shellcheck(command)


@pytest.mark.parametrize(
    ("script", "arguments", "values", "message"),
    [
        ("local_pod.sh", (), {}, "expected the numbers of processes and of devices"),
        ("local_pod.sh", ("0", "1"), {}, "expected the numbers of processes and of devices"),
        ("gpu_slurm.sbatch", (), {}, "no options for train"),
        ("gpu_slurm.sbatch", ("--config", "a"), {}, "no --workdir"),
        ("tpu_pod.sh", ("create",), {}, "NAME and ZONE are not both set"),
        ("tpu_pod.sh", ("create",), TPU, "TYPE is not set"),
        ("tpu_pod.sh", ("run", "--config", "a"), TPU, "TYPE is not set"),
        ("tpu_pod.sh", ("train",), TPU, "no options for train"),
        ("tpu_pod.sh", ("train", "--config", "a"), TPU, "no --workdir"),
        ("tpu_pod.sh", ("train", "--workdir"), TPU, "no --workdir"),
        ("tpu_pod.sh", ("train", "--workdir=gs://bucket/run"), TPU, "--workdir is gs://bucket/run; expected a folder"),
        ("tpu_pod.sh", ("create",), TPU | {"TYPE": "v4-8", "SPOT": "yes"}, "SPOT is 'yes'; expected 1 or 0"),
        ("tpu_pod.sh", ("start",), TPU, "the action is 'start'"),
    ],
)
def test_mistakes_are_one_line(run, script, arguments, values, message):
    done = run(script, *arguments, **values)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_readme_has_a_section_for_each():
    readme = (LAUNCH / "README.md").read_text()
    assert [name for name in (*SCRIPTS, "gke_job.yaml") if f"\n## `{name}`" not in readme] == []
