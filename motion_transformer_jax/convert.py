"""PyTorch checkpoints in and out, and trained models as programs that run without this package.

python -m motion_transformer_jax.convert from-torch vox-cpk.pth.tar --out runs/vox
python -m motion_transformer_jax.convert to-torch runs/vox --out vox.pth
python -m motion_transformer_jax.convert to-stablehlo runs/vox --out vox-stablehlo
python -m motion_transformer_jax.convert compact runs/vox --out vox-compact
python -m motion_transformer_jax.convert inspect vox-cpk.pth.tar
"""

import argparse
import re
import sys

from motion_transformer_jax.cli import (
    CONFIG_IS_RUN,
    Parser,
    checkpoint_step,
    override_config,
    parse_config,
    run_command,
)

# As torch_io.recognition has them, which is slow to import.
SYSTEMS = ("motion_transformer", "fomm", "mraa")


def main(argv: list[str]) -> int | None:
    """Parse the arguments and convert or inspect a file."""
    parser = Parser(
        "convert",
        description="Read and write PyTorch checkpoints of the motion transformer, FOMM and MRAA; export models.",
        epilog="actions:\n"
        "  from-torch FILE --out DIR      an official checkpoint to a run's folder\n"
        "  to-torch RUN --out FILE        a run's folder to a file that the official code loads\n"
        "  to-stablehlo RUN --out FOLDER  a run's folder to programs that need only JAX to animate\n"
        "  compact RUN --out FOLDER       a run's folder to two files of half the size, to give away\n"
        "  inspect FILE                   what a file holds\n\n"
        "`motrans convert ACTION --help` tells an action's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="motrans convert ACTION ...",
    )
    parser.add_argument("action", choices=_ACTIONS, metavar="ACTION", help="one of those below")
    return _ACTIONS[parser.parse_args(argv[:1]).action](argv[1:])


def _from_torch(argv: list[str]) -> None:
    parser = Parser("convert from-torch", description="Make a run's folder from an official PyTorch checkpoint.")
    parser.add_argument("file", metavar="FILE", help=".pth, .pth.tar or .safetensors")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--config",
        metavar="CONFIG[:VARIANT]",
        help="config that the file must fit (default: told by its shapes)" + CONFIG_IS_RUN,
    )
    parser.add_argument("--system", choices=SYSTEMS, help="refuse a file of another system")
    parser.add_argument("--overwrite", action="store_true", help="replace converted weights in DIR")
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.generator.skips=False."
    arguments, overrides = parser.parse_known_args(argv)

    from motion_transformer_jax.torch_io.conversion import from_torch  # slow to import, not needed for --help

    def choose_config(recognised):
        if arguments.config:
            return parse_config(arguments.config, overrides)
        return override_config(recognised, overrides)

    done = from_torch(
        arguments.file, arguments.out, choose_config, system=arguments.system, overwrite=arguments.overwrite
    )
    print(f"{arguments.out}: {done.system}, {done.num_parameters / 1e6:.2f} M parameters of {done.num_tensors} tensors")
    named = {re.sub(r"^--?(no)?config\.|=.*", "", argument) for argument in overrides}
    assumed = [f"--config.{name}={value}" for name, value in done.assumed.items() if name not in named]
    if assumed and not arguments.config:
        print(f"assumed, since nothing in the file tells: {' '.join(assumed)}; pass other values to change them")


def _to_torch(argv: list[str]) -> None:
    parser = Parser("convert to-torch", description="Write a run's weights as a file that the official code loads.")
    _add_run(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help=".pth, .pth.tar or .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.torch_io.conversion import to_torch

    done = to_torch(arguments.run, arguments.out, step=arguments.step, overwrite=arguments.overwrite)
    print(f"{arguments.out}: {done.system}, {done.num_parameters / 1e6:.2f} M parameters in {done.num_tensors} tensors")


def _to_stablehlo(argv: list[str]) -> None:
    parser = Parser(
        "convert to-stablehlo",
        description="Write a run's model as StableHLO programs for CPU, GPU and TPU, weights within. They take any "
        "number of driving frames and need JAX, not this package; FOLDER/README.md says how to use them.",
    )
    _add_run(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in FOLDER")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.inference.stablehlo import export_run

    manifest = export_run(arguments.run, arguments.out, step=arguments.step, overwrite=arguments.overwrite)
    programs, platforms = (", ".join(manifest[name]) for name in ("programs", "platforms"))
    print(
        f"{arguments.out}: {programs} of step {manifest['step']} for {platforms}; how to use them is in README.md there"
    )


def _compact(argv: list[str]) -> None:
    parser = Parser(
        "convert compact",
        description="Write a run's model as two files, with parameters in half precision; every command takes the "
        "folder where it takes a run's.",
    )
    _add_run(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier compact weights in FOLDER")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.training.checkpoint import load_variables
    from motion_transformer_jax.training.compact_weights import save_compact

    config, variables = load_variables(arguments.run, step=arguments.step)
    size = save_compact(arguments.out, config, variables, overwrite=arguments.overwrite)
    print(f"{arguments.out}: {size / 1e6:.1f} MB")


def _add_run(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a training run, its --workdir, or of converted weights")
    parser.add_argument("--step", type=checkpoint_step, metavar="N|best", help="which checkpoint (default: the newest)")


def _inspect(argv: list[str]) -> None:
    parser = Parser("convert inspect", description="Tell what a file of PyTorch weights holds; nothing in it is run.")
    parser.add_argument("file", metavar="FILE", help=".pth, .pth.tar or .safetensors")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.torch_io.inspection import describe_torch_file

    print("\n".join(describe_torch_file(arguments.file)))


_ACTIONS = {
    "from-torch": _from_torch,
    "to-torch": _to_torch,
    "to-stablehlo": _to_stablehlo,
    "compact": _compact,
    "inspect": _inspect,
}

if __name__ == "__main__":
    sys.exit(run_command(main))
