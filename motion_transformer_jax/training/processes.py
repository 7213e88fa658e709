"""One training run in several processes: TPU hosts, cluster jobs, or processes of this machine."""

import re
import zlib
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from motion_transformer_jax.errors import UserError

_MOST_PORTS = 2**16


def join_processes(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins this process with the others of its run; to be called before JAX uses a device.

    Args:
      coordinator: "HOST:PORT" of process 0; None: it and all else is told by the environment, as Cloud TPU, GKE's TPUs,
        SLURM and Open MPI before 5 do, and Kubernetes' indexed jobs where the package `kubernetes` is installed.
      num_processes: of the run.
      process_id: of this one, from 0.

    Raises:
      UserError: some of the three are missing or impossible, or the environment tells of no run with several processes.
    """
    given = {"coordinator": coordinator, "num-processes": num_processes, "process-id": process_id}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise UserError(f"missing {' and '.join(missing)}; expected all three, or --distributed alone")
    if coordinator is not None and not _is_address(coordinator):
        raise UserError(f"--coordinator is '{coordinator}'; expected HOST:PORT, such as 10.0.0.2:8476")
    if num_processes is not None and num_processes < 1:
        raise UserError(f"--num-processes is {num_processes}; expected 1 or more")
    if process_id is not None and not 0 <= process_id < num_processes:
        raise UserError(f"--process-id is {process_id}; expected 0 to {num_processes - 1}")
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except ValueError as error:
        raise UserError(
            f"the environment tells of no other processes ({str(error).splitlines()[0]}); "
            "pass --coordinator HOST:PORT --num-processes N --process-id I, or leave out --distributed"
        ) from error


def _is_address(text: str) -> bool:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):([0-9]{1,5})", text, re.ASCII)
    return match is not None and 0 < int(match[2]) < _MOST_PORTS


def check_agreement(values: Mapping[str, str]) -> None:
    """Refuse to go on where the processes of a run differ; all of them call it.

    Args:
      values: what must be the same in all processes, by what it is in words.

    Raises:
      UserError: names what differs; in all processes.
    """
    sums = np.array([zlib.crc32(value.encode()) for value in values.values()], np.uint32)
    differs = (multihost_utils.process_allgather(sums) != sums).reshape(-1, len(sums)).any(axis=0)
    if differs.any():
        names = " and ".join(name for name, differ in zip(values, differs, strict=True) if differ)
        raise UserError(f"the processes of this run have different {names}; start all with the same options and data")


def agreed(number: int) -> int:
    """The first process's number, in all processes; all of them call it."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def true_for_all(holds: bool) -> bool:
    """Whether something holds in every process; all of them call it."""
    return bool(np.all(multihost_utils.process_allgather(np.bool_(holds))))
