import os
import subprocess
import sys

import numpy as np
import pytest

from motion_transformer_jax.cli import run_command
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.train import main
from motion_transformer_jax.training import processes

TRAIN = ("--config", "configs/demo.py:debug", "--workdir", "unused")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--coordinator", "127.0.0.1:1"), "missing --num-processes and --process-id; expected all three"),
        (("--process-id", "0", "--num-processes", "2"), "missing --coordinator"),
        (
            ("--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "2"),
            "--process-id is 2; expected 0 to 1",
        ),
        (("--coordinator", "127.0.0.1:1", "--num-processes", "0", "--process-id", "0"), "expected 1 or more"),
    ],
)
def test_mistakes_are_one_line(options, message, capsys, monkeypatch):
    assert run_command(main, [*TRAIN, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


JOIN = """
from motion_transformer_jax.training.processes import agreed, check_agreement, join_processes, true_for_all
join_processes()
import jax
index = jax.process_index()
check_agreement({"names": "the same"})
print(index, jax.process_count(), agreed(index + 5), true_for_all(True), true_for_all(index == 0))
check_agreement({"names": "the same", "lists": str(index)})
"""
JOB = os.getpid()  # which the port is made of
SLURM = f"SLURM_JOB_ID={JOB} SLURM_NTASKS=2 SLURM_STEP_NODELIST=localhost SLURM_PROCID={{i}} SLURM_LOCALID={{i}}"
OPEN_MPI = (
    f"OMPI_MCA_orte_hnp_uri=1{JOB}.0;tcp://127.0.0.1:1 "
    "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK={i} OMPI_COMM_WORLD_LOCAL_RANK={i}"
)


def start(text, i, program=JOIN):
    told = dict(word.split("=", 1) for word in text.format(i=i).split())
    others = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI"))}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=others | told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("text", [SLURM, OPEN_MPI], ids=["SLURM", "Open MPI"])
def test_processes_meet_and_agree(text):
    started = [start(text, i) for i in range(2)]
    said = [process.communicate(timeout=120) for process in started]
    printed = [out.splitlines()[-1] for out, _ in said]  # Gloo prints too
    assert printed == ["0 2 5 True False", "1 2 5 True False"], said
    for _, error in said:
        assert "UserError: the processes of this run have different lists; start all with" in error


def test_nobody_else_is_there():
    process = start("", 0, JOIN)
    assert "UserError: the environment tells of no other processes" in process.communicate(timeout=120)[1]


def test_one_process_agrees_with_itself():
    processes.check_agreement({"names": "a", "lists": "b"})
    assert processes.agreed(7) == 7 and processes.true_for_all(True) and not processes.true_for_all(False)


def test_a_difference_is_named(monkeypatch):
    monkeypatch.setattr(
        processes.multihost_utils, "process_allgather", lambda own: np.stack([own, own + np.uint32([0, 1, 0])])
    )
    with pytest.raises(UserError, match="have different videos; start all"):
        processes.check_agreement({"configs": "a", "videos": "b", "more": "c"})
