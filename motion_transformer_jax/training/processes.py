"""One training run in several processes: TPU hosts, cluster jobs, or processes of this machine."""

import jax

from motion_transformer_jax.errors import UserError


def join_processes(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins this process with the others of its run; to be called before JAX uses a device.

    Args:
      coordinator: "HOST:PORT" of process 0; None: it and all else is told by the environment, as Cloud TPU, GKE's TPUs,
        SLURM and Open MPI do, and Kubernetes' indexed jobs where the package `kubernetes` is installed.
      num_processes: of the run.
      process_id: of this one, from 0.

    Raises:
      UserError: some of the three are missing, or the environment tells of no run with several processes.
    """
    given = {"coordinator": coordinator, "num-processes": num_processes, "process-id": process_id}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise UserError(f"missing {' and '.join(missing)}; expected all three, or --distributed alone")
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
