"""A process that stands still ends by itself and shows where."""

import subprocess
import sys

import pytest

STALLED = """
import time
from motion_transformer_jax.training.watchdog import Watchdog

def wait_for_a_dead_peer():
    time.sleep(60)

with Watchdog({minutes}) as watchdog:
    for _ in range(5):
        time.sleep(0.2)
        watchdog.feed()
    print("five steps", flush=True)
    {end}
print("done")
"""


def run(minutes, end):
    script = STALLED.format(minutes=minutes, end=end)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)


def test_a_stall_ends_the_process_with_a_stack_trace():
    stalled = run(minutes=0.8 / 60, end="wait_for_a_dead_peer()")
    assert stalled.returncode == 1 and stalled.stdout == "five steps\n"
    assert "in wait_for_a_dead_peer" in stalled.stderr


@pytest.mark.parametrize("minutes", [0, 0.8 / 60])
def test_a_run_that_ends_is_left_alone(minutes):
    ended = run(minutes, end="pass")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "five steps\ndone\n", "")
