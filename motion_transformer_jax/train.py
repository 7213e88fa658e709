"""Train a model: `python -m motion_transformer_jax.train --config configs/taichi256.py --workdir runs/taichi256`.

The same command goes on where a run in that folder stopped.
"""

import sys

from motion_transformer_jax.cli import Parser, parse_config, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs


def main(argv: list[str]) -> None:
    """Parse the arguments and train."""
    keep_compiled_programs()
    parser = Parser("train", description="Train a model; the same command goes on where the run stopped.")
    parser.add_argument(
        "--config", required=True, metavar="FILE[:VARIANT,...]", help="such as configs/taichi256.py:stem"
    )
    parser.add_argument(
        "--workdir", required=True, metavar="DIR", help="folder of the run: checkpoints, metrics, samples"
    )
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.train.batch_size=32."
    arguments, overrides = parser.parse_known_args(argv)
    config = parse_config(arguments.config, overrides)

    from motion_transformer_jax.training.loop import train_and_evaluate  # slow to import, and not needed for --help

    train_and_evaluate(config, arguments.workdir)


if __name__ == "__main__":
    sys.exit(run_command(main))
