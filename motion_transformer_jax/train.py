"""Train a model: `python -m motion_transformer_jax.train --config configs/taichi256.py --workdir runs/taichi256`.

The same command goes on where a run in that folder stopped. A run of several processes starts it once in each, with
--distributed, or with --coordinator, --num-processes and --process-id; `launch/` has scripts for it.
"""

import contextlib
import sys

from motion_transformer_jax.cli import CONFIG_IS_RUN, Parser, parse_config, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.data.limits import applied
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.limit_options import add_limits, take_limits


def main(argv: list[str]) -> None:
    """Parse the arguments and train, or take a dumped step again."""
    keep_compiled_programs()
    parser = Parser("train", description="Train a model; the same command goes on where the run stopped.")
    parser.add_argument(
        "--config", metavar="FILE[:VARIANT,...]", help="such as configs/taichi256.py:stem" + CONFIG_IS_RUN
    )
    parser.add_argument("--workdir", metavar="DIR", help="folder of the run: checkpoints, metrics, samples")
    parser.add_argument(
        "--distributed", action="store_true", help="join the run's other processes, as the environment tells of them"
    )
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0, to join processes without that")
    parser.add_argument("--num-processes", type=int, metavar="N", help="of the run")
    parser.add_argument("--process-id", type=int, metavar="I", help="of this process, from 0")
    parser.add_argument(
        "--replay",
        metavar="DIR",
        help="take a diverged run's last step again, from its WORKDIR/nonfinite, and print its metrics",
    )
    add_limits(parser)
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.train.batch_size=32."
    arguments, overrides = parser.parse_known_args(argv)
    keep_freed_memory()
    if arguments.replay:
        if overrides:
            parser.error(f"--replay takes the dump's own config; leave out {' '.join(overrides)}")
        _replay(arguments.replay)
        return
    for option in ("config", "workdir"):
        if getattr(arguments, option) is None:
            parser.error(f"--{option} is missing")
    config, limits = parse_config(arguments.config, overrides), take_limits(arguments)

    processes = (arguments.coordinator, arguments.num_processes, arguments.process_id)
    if arguments.distributed or any(value is not None for value in processes):
        from motion_transformer_jax.training.processes import join_processes

        join_processes(*processes)

    from motion_transformer_jax.training.loop import train_and_evaluate  # slow to import, and not needed for --help
    from motion_transformer_jax.training.progress import RunStopped

    # Stopped, all is saved: a success, of which WORKDIR/status.json tells more.
    with applied(limits), contextlib.suppress(RunStopped):
        train_and_evaluate(config, arguments.workdir)


def _replay(folder: str) -> None:
    from motion_transformer_jax.training.replay import replay

    for name, value in replay(folder).items():
        print(f"{name} {value:g}")


if __name__ == "__main__":
    sys.exit(run_command(main))
