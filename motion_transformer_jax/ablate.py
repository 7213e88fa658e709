"""Train and evaluate variants of an experiment under one budget, and write the poster's tables.

python -m motion_transformer_jax.ablate --config configs/taichi256.py --out ablations --variants base fomm mraa stem
"""

import sys

from motion_transformer_jax.cli import CONFIG_IS_RUN, Parser, parse_config, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.data.limits import applied
from motion_transformer_jax.evaluate import add_evaluation_options, evaluation_options
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.limit_options import take_limits

BASE = "base"


def main(argv: list[str]) -> None:
    """Parse the arguments, train and evaluate what is missing, and print the tables."""
    keep_compiled_programs()
    parser = Parser(
        "ablate",
        description="Train and evaluate variants of an experiment under one budget, and write the poster's tables: "
        "systems, position encoding, backbone, layers. Started again, the command goes on with what is missing.",
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="the experiment, such as configs/taichi256.py" + CONFIG_IS_RUN
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of runs, reports and tables")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=[BASE, "fomm", "mraa"],
        metavar="NAME",
        help="of the config, several joined by commas; 'base': the experiment itself (default: base fomm mraa)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="train each with these (0)")
    add_evaluation_options(parser)
    parser.epilog = (
        "Any field of all configs is set by --config.FIELD=VALUE, such as the budget by --config.train.num_steps=1000."
    )
    arguments, overrides = parser.parse_known_args(argv)
    keep_freed_memory()
    for name in ("variants", "seeds"):
        values = getattr(arguments, name)
        if len(set(values)) < len(values):
            parser.error(f"--{name} names one twice; expected each once")
    if min(arguments.seeds) < 0:
        parser.error(f"--seeds has {min(arguments.seeds)}; expected 0 or more")
    configs = {
        name: parse_config(f"{arguments.config}:{'' if name == BASE else name}", overrides)
        for name in arguments.variants
    }
    limits, request = take_limits(arguments), evaluation_options(parser, arguments)

    from motion_transformer_jax.evaluation.ablations import run_ablations  # slow to import, and not needed for --help

    with applied(limits):
        print(run_ablations(configs, arguments.seeds, arguments.out, request))


if __name__ == "__main__":
    sys.exit(run_command(main))
