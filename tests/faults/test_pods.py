"""Runs of several processes: the same numbers on any number of them, and what happens when one is stopped or dies."""

import signal

import pods
import pytest


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
    assert pods.status(workdir)["state"] == "running"
    pods.train(workdir, 2, 1, 6, **fields)
    pods.assert_same_run(workdir, one_process, 6)


@pytest.mark.faults
@pytest.mark.parametrize(("processes", "devices"), [(2, 4), (1, 8)])
def test_ten_steps_on_any_number_of_processes_and_devices(tmp_path_factory, tmp_path, processes, devices):
    reference = tmp_path_factory.getbasetemp() / "ten"
    if not reference.exists():
        pods.train(reference, 1, 1, 10)
    pods.train(tmp_path / "run", processes, devices, 10)
    pods.assert_same_run(tmp_path / "run", reference, 10)
