"""Runs of several processes for the fault tests, and what they leave."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from motion_transformer_jax import configs

SECONDS = 500
IN_FLOAT64 = [str(Path(__file__).with_name("float64_train.py"))]
AS_USERS_DO = ["-m", "motion_transformer_jax.train"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(program, devices):
    simulated = f"--xla_force_host_platform_device_count={devices}"
    # A step that nothing optimises takes minutes in float64.
    kept = {name: value for name, value in os.environ.items() if name != "JAX_DISABLE_MOST_OPTIMIZATIONS"}
    if program == AS_USERS_DO:
        return kept | {"XLA_FLAGS": simulated}
    flags = " ".join(flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag)
    return kept | {"XLA_FLAGS": f"{flags} {simulated}", "JAX_ENABLE_X64": "1"}


def options(workdir, num_steps, **fields):
    """What `motrans train` is told."""
    fields = {
        "data.puppet_frames": 4,
        "train.batch_size": 8,
        "train.num_steps": num_steps,
        "train.log_every_steps": 1,
        "train.validate_every_steps": 1000,
        "train.picture_every_steps": 1000,
        "train.checkpoint_every_steps": 1000,
    } | fields
    config = ["--config", f"{configs.__path__[0]}/demo.py:fomm,debug", "--workdir", str(workdir)]
    return [*config, *(f"--config.{name}={value}" for name, value in fields.items())]


def start(workdir, processes, devices, num_steps, *, program=IN_FLOAT64, **fields):
    """The processes of a run, started."""
    command = [sys.executable, *program, *options(workdir, num_steps, **fields)]
    shared = ["--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", str(processes), "--process-id"]
    joined = [[*shared, str(i)] for i in range(processes)] if processes > 1 else [[]]
    return [
        subprocess.Popen([*command, *own], env=environment(program, devices), stderr=subprocess.PIPE, text=True)
        for own in joined
    ]


@contextmanager
def none_left_behind(started):
    """Kills the processes of a test that fails, which would slow down the next ones."""
    try:
        yield
    except BaseException:
        for process in started:
            process.kill()
        raise


def finish(started):
    """Exit statuses, and what was said."""
    with none_left_behind(started):
        said = [process.communicate(timeout=SECONDS)[1] for process in started]
    return [process.returncode for process in started], said


def train(*arguments, **fields):
    """A run to its end."""
    statuses, said = finish(start(*arguments, **fields))
    assert not any(statuses), said[0][-3000:]


def wait_for_step(workdir, step, started):
    deadline, metrics = time.monotonic() + SECONDS, workdir / "metrics.jsonl"
    with none_left_behind(started):
        while time.monotonic() < deadline:
            assert all(process.poll() is None for process in started), finish(started)
            if metrics.exists() and f'"step": {step},' in metrics.read_text():
                return
            time.sleep(0.05)
        raise TimeoutError(f"no step {step}")


def losses(workdir):
    """The total loss of each step."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss/total"] for line in lines if "train/loss/total" in line}


def status(workdir):
    return json.loads((workdir / "status.json").read_text())


def parameters(workdir, step):
    checkpointer = ocp.PyTreeCheckpointer()
    folder = workdir / "checkpoints" / str(step) / "state"
    saved = checkpointer.metadata(folder).item_metadata.tree
    arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
    return checkpointer.restore(folder, restore_args=arguments)["params"]


def assert_same_run(workdir, reference, num_steps):
    """Losses and parameters after `num_steps`, to 1e-5."""
    expected, actual = losses(reference), losses(workdir)
    assert actual.keys() == expected.keys()
    for step, loss in expected.items():
        np.testing.assert_allclose(actual[step], loss, rtol=1e-5, err_msg=f"step {step}")
    pairs = zip(*(jax.tree.leaves(parameters(folder, num_steps)) for folder in (workdir, reference)), strict=True)
    for a, b in pairs:
        assert a.dtype == b.dtype == np.float64
        # A bias before a norm or a softmax has no gradient but rounding, which Adam enlarges.
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max() + 1e-8
