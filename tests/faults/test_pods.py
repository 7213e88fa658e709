"""Runs of several processes: the same numbers on any number of them, and what happens when one is stopped or dies."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pods
import pytest

LOCAL_POD = Path(__file__).parents[2] / "launch" / "local_pod.sh"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": pods.SECONDS}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """Six steps, one process, one device."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    pods.train(workdir, 1, 1, 6)
    return workdir


@pytest.mark.faults
def test_a_signal_to_one_process_stops_all_and_another_number_of_processes_goes_on(one_process, tmp_path):
    workdir = tmp_path / "run"
    started = pods.start(workdir, 2, 1, 6)
    pods.wait_for_step(workdir, 2, started)
    started[1].send_signal(signal.SIGTERM)
    statuses, said = pods.finish(started)
    assert statuses == [0, 0], said
    stopped = pods.status(workdir)
    # A step takes less than the time until the other process has heard of it: sometimes all six are done by then.
    if stopped["step"] < 6:
        assert stopped["state"] == "stopped" and f"stopped and saved at step {stopped['step']}" in said[0]
        assert [path.name for path in (workdir / "checkpoints").iterdir()] == [str(stopped["step"])]
    pods.train(workdir, 1, 2, 6)
    assert pods.status(workdir) == {"state": "finished", "step": 6, "total_steps": 6}
    pods.assert_same_run(workdir, one_process, 6)


@pytest.mark.faults
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_run_and_all_go_on(one_process, tmp_path, killed):
    workdir = tmp_path / "run"
    fields = {"train.checkpoint_every_steps": 2}
    started = pods.start(workdir, 2, 1, 6, **fields)
    pods.wait_for_step(workdir, 3, started)
    started[killed].kill()
    statuses, _ = pods.finish(started)
    assert all(statuses), "the other one does not wait for ever"
    assert 2 not in statuses, "a launch script would take it for a mistake, and not start again"
    assert pods.status(workdir)["state"] == "running"
    pods.train(workdir, 2, 1, 6, **fields)
    pods.assert_same_run(workdir, one_process, 6)


@pytest.mark.faults
def test_a_poisoned_batch_of_one_process_is_skipped_by_all(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONED", "3")
    pods.train(tmp_path / "one", 1, 1, 6)
    pods.train(tmp_path / "two", 2, 1, 6)
    assert sorted(pods.losses(tmp_path / "two")) == [1, 2, 4, 5, 6]
    pods.assert_same_run(tmp_path / "two", tmp_path / "one", 6)


@pytest.mark.faults
def test_too_many_poisoned_batches_end_all_and_all_go_on(one_process, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    fields = {"train.checkpoint_every_steps": 2, "train.max_skipped_steps": 2}
    with monkeypatch.context() as patch:
        patch.setenv("POISONED", "5,6")
        statuses, said = pods.finish(pods.start(workdir, 2, 1, 6, **fields))
    assert statuses == [2, 2] and "2 steps in a row were not finite and skipped, up to step 6: loss" in said[0]
    assert pods.status(workdir)["state"] == "diverged"
    assert (workdir / "nonfinite" / "batch.npz").exists()
    pods.train(workdir, 2, 1, 6, **fields)
    pods.assert_same_run(workdir, one_process, 6)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_process_that_stands_still_ends_the_others(one_process, tmp_path):
    """JAX misses its heartbeats within two minutes; the watchdog is for processes that still send them."""
    workdir = tmp_path / "run"
    fields = {"train.checkpoint_every_steps": 2}
    started = pods.start(workdir, 2, 1, 6, **fields)
    pods.wait_for_step(workdir, 3, started)
    started[1].send_signal(signal.SIGSTOP)
    with pods.none_left_behind(started):
        said = started[0].communicate(timeout=pods.SECONDS)[1]
    started[1].kill()
    started[1].communicate()
    assert started[0].returncode not in (0, 2) and "heartbeat" in said, said[-3000:]
    pods.train(workdir, 2, 1, 6, **fields)
    pods.assert_same_run(workdir, one_process, 6)


def by_the_script(workdir, scratch, num_steps):
    """A run by `launch/local_pod.sh 2 4`, in float64."""
    python = scratch / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {shlex.join([sys.executable, *pods.IN_FLOAT64])} "$@"\n')
    python.chmod(0o755)
    values = pods.environment(pods.IN_FLOAT64, 4) | {"PYTHON": str(python)}
    done = subprocess.run(
        ["bash", LOCAL_POD, "2", "4", *pods.options(workdir, num_steps)], env=values, text=True, **PIPES
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.faults
@pytest.mark.parametrize("is_pod", [True, False])
def test_ten_steps_on_a_pod_on_many_devices_and_on_one(tmp_path_factory, tmp_path, is_pod):
    reference = tmp_path_factory.getbasetemp() / "ten"
    if not reference.exists():
        pods.train(reference, 1, 1, 10)
    if is_pod:
        by_the_script(tmp_path / "run", tmp_path, 10)
    else:
        pods.train(tmp_path / "run", 1, 8, 10)
    pods.assert_same_run(tmp_path / "run", reference, 10)
