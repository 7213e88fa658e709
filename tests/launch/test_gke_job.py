"""launch/gke_job.yaml: how its parts fit, and its container's command with a stand-in for Python."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

SERVICE, JOB = yaml.safe_load_all((Path(__file__).parents[2] / "launch" / "gke_job.yaml").read_text())
POD = JOB["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
RETRY = 75


@pytest.fixture
def container(environment, tmp_path):
    """Starts the container's command as Kubernetes does; its workdir is "tmp_path/a b"."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "bin").mkdir(exist_ok=True)
    given = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
    values = environment(**given | {"WORKDIR": f"{tmp_path}/a b", "JOB_COMPLETION_INDEX": "2"})
    return lambda: subprocess.Popen(CONTAINER["command"] + CONTAINER["args"], env=values)


@pytest.fixture
def python(stand_in, tmp_path):
    """Makes the container's python a script, which also keeps its arguments in tmp_path/call."""
    return lambda script: stand_in(tmp_path / "bin" / "python", f"printf '%s\\n' \"$@\" > {tmp_path}/call\n{script}")


def status(state, tmp_path):
    return f"""echo '{{"state": "{state}", "step": 3, "total_steps": 9}}' > '{tmp_path}/a b/status.json'"""


def test_the_service_leads_to_the_pods():
    assert SERVICE["spec"]["selector"] == {"job-name": JOB["metadata"]["name"]}
    assert SERVICE["spec"]["clusterIP"] == "None" and SERVICE["spec"]["publishNotReadyAddresses"]
    assert POD["subdomain"] == SERVICE["metadata"]["name"]


def test_one_number_of_hosts():
    [processes] = (entry["value"] for entry in CONTAINER["env"] if entry["name"] == "PROCESSES")
    assert JOB["spec"]["completionMode"] == "Indexed"
    assert JOB["spec"]["completions"] == JOB["spec"]["parallelism"] == int(processes)


def test_only_crashes_count():
    assert POD["restartPolicy"] == "Never", "podFailurePolicy is refused with any other"
    rules = JOB["spec"]["podFailurePolicy"]["rules"]
    exits = {tuple(rule["onExitCodes"]["values"]): rule["action"] for rule in rules if "onExitCodes" in rule}
    assert exits == {(2,): "FailJob", (RETRY,): "Ignore"}
    assert all(rule["onExitCodes"]["containerName"] == CONTAINER["name"] for rule in rules if "onExitCodes" in rule)
    [condition] = (rule for rule in rules if "onPodConditions" in rule)
    assert condition == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert JOB["spec"]["backoffLimit"] >= JOB["spec"]["completions"]


def test_a_process_knows_the_others(container, python, tmp_path):
    python(status("finished", tmp_path))
    assert container().wait(timeout=60) == 0
    job, service = JOB["metadata"]["name"], SERVICE["metadata"]["name"]
    [port] = CONTAINER["ports"]
    assert (tmp_path / "call").read_text().splitlines() == [
        "-m",
        "motion_transformer_jax.train",
        "--workdir",
        f"{tmp_path}/a b",
        "--coordinator",
        f"{job}-0.{service}:{port['containerPort']}",
        "--num-processes",
        str(JOB["spec"]["completions"]),
        "--process-id",
        "2",
        *CONTAINER["args"],
    ]


@pytest.mark.parametrize(
    ("left", "state", "exits", "expected"),
    [
        (None, "finished", 0, 0),
        (None, "stopped", 0, RETRY),
        ("stopped", "finished", 0, 0),
        (None, None, 0, RETRY),  # another process has not written it yet
        ("stopped", "stopped", 134, 134),  # a crash
        (None, "diverged", 2, 2),
    ],
)
def test_only_a_finished_run_succeeds(container, python, tmp_path, left, state, exits, expected):
    if left:
        subprocess.run(["bash", "-c", status(left, tmp_path)], check=True)
    python(f"{status(state, tmp_path) if state else ''}\nexit {exits}")
    assert container().wait(timeout=60) == expected


def test_a_finished_run_is_not_started_again(container, python, tmp_path):
    subprocess.run(["bash", "-c", status("finished", tmp_path)], check=True)
    python("exit 9")
    assert container().wait(timeout=60) == 0
    assert not (tmp_path / "call").exists()


def test_sigterm_reaches_the_process_which_saves(container, python, tmp_path):
    python(f"""save() {{ sleep 1; {status("stopped", tmp_path)}; touch {tmp_path}/saved; exit 0; }}
trap save TERM
touch {tmp_path}/started
for _ in {{1..600}}; do sleep 0.1; done
exit 9""")
    with container() as process:
        while not (tmp_path / "started").exists():
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == RETRY
    assert (tmp_path / "saved").exists()
