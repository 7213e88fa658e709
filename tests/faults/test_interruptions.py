"""`motrans train` killed and stopped at random instants, its disk full: it goes on as if nothing had happened."""

import random
import re
import shutil
import subprocess
import time

import pods
import pytest
from damage import FILE_DAMAGES

STEPS, SAVED_EVERY = 200, 2
FIELDS = {"train.checkpoint_every_steps": SAVED_EVERY, "train.keep_last": 2}


def start(workdir, num_steps=STEPS):
    [process] = pods.start(workdir, 1, 1, num_steps, program=pods.AS_USERS_DO, **FIELDS)
    return process


def first_step(said):
    """Where a run went on, by its own words."""
    return int(re.search(r"steps (\d+) to", said)[1])


def interrupt(workdir, rng, signal_number):
    """Sends a signal to a started or resumed run some time after its first step.

    Returns:
        (status, the run's first step, the last step that it logged).
    """
    before = max(pods.losses(workdir), default=0) if (workdir / "metrics.jsonl").exists() else 0
    process = start(workdir)
    pods.wait_for_step(workdir, before + 1, [process])
    time.sleep(rng.uniform(0, 1.5))  # some steps, and a save or two
    process.send_signal(signal_number)
    [status], [said] = pods.finish([process])
    return status, first_step(said), max(pods.losses(workdir))


def assert_same_losses(workdir, whole):
    expected, actual = pods.losses(whole), pods.losses(workdir)
    assert actual == {step: expected[step] for step in actual} and len(actual) == max(actual)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing happens to."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    [[status], _] = pods.finish([start(workdir)])
    assert status == 0
    return workdir


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "times"), [("SIGKILL", 30), ("SIGTERM", 10)])
def test_interrupted_again_and_again(whole, tmp_path, name, times):
    rng, lost = random.Random(0), []
    workdir, number = tmp_path / "run", {"SIGKILL": 9, "SIGTERM": 15}[name]
    reached = 0
    for _ in range(times):
        status, first, last = interrupt(workdir, rng, number)
        assert status == (-9 if name == "SIGKILL" else 0)
        lost.append(reached + 1 - first)
        reached = last
        assert_same_losses(workdir, whole)
        if last > STEPS - 40:  # done too early: from the start
            shutil.rmtree(workdir)
            reached = 0
    if name == "SIGTERM":
        assert set(lost) == {0}
    # A save that was under way does not count, and the next one waits for it.
    assert max(lost) <= 2 * SAVED_EVERY
    print(f"{name}: {times} times, steps lost {lost}, losses those of the whole run")


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_while_it_starts(whole, tmp_path):
    """Before, in and after reading a checkpoint, compiling, and its first steps and save."""
    rng, workdir = random.Random(1), tmp_path / "run"
    for _ in range(12):
        process = start(workdir)
        time.sleep(rng.uniform(0, 15))
        process.kill()
        process.communicate()
    [[status], said] = pods.finish([start(workdir, num_steps=60)])
    assert status == 0, said
    assert_same_losses(workdir, whole)


@pytest.mark.faults
@pytest.mark.parametrize("damage", FILE_DAMAGES)
def test_a_damaged_newest_checkpoint(whole, tmp_path, damage):
    workdir = tmp_path / "run"
    [[status], said] = pods.finish([start(workdir, num_steps=6)])
    assert status == 0, said
    files = [path for path in (workdir / "checkpoints" / "6" / "state").rglob("*") if path.is_file()]
    damage(max(files, key=lambda path: path.stat().st_size), random.Random(2))
    [[status], [said]] = pods.finish([start(workdir, num_steps=10)])
    assert status == 0 and first_step(said) == 5 and "6.corrupt from now on" in said, said[-3000:]
    assert_same_losses(workdir, whole)
    assert max(pods.losses(workdir)) == 10


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of a few MB of its own; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("left", [200_000, 0])
def test_a_full_disk_ends_in_one_line_and_the_old_checkpoints_stay_valid(small_disk, tmp_path, left):
    workdir = small_disk / "run"
    [[status], said] = pods.finish([start(workdir, num_steps=2)])
    assert status == 0, said
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - left))
    [[status], [said]] = pods.finish([start(workdir, num_steps=8)])
    # Orbax's own threads may print tracebacks beside it.
    assert status == 2 and [line for line in said.splitlines() if line.startswith("error: cannot ")], said[-3000:]
    filler.unlink()
    [[status], [said]] = pods.finish([start(workdir, num_steps=8)])
    assert status == 0 and first_step(said) >= 3, said[-3000:]
    shutil.copytree(workdir, tmp_path / "run")
    [[status], said] = pods.finish([start(tmp_path / "whole", num_steps=8)])
    assert status == 0, said
    assert_same_losses(tmp_path / "run", tmp_path / "whole")
