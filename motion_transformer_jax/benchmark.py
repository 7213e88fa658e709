"""Measure speed, beside a reference in the same run.

python -m motion_transformer_jax.benchmark animate
python -m motion_transformer_jax.benchmark train
python -m motion_transformer_jax.benchmark compile
python -m motion_transformer_jax.benchmark data
python -m motion_transformer_jax.benchmark grid_sample
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from motion_transformer_jax import configs
from motion_transformer_jax.cli import CONFIG_IS_RUN, Parser, parse_config, run_command
from motion_transformer_jax.data.limits import applied
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.limit_options import add_limits, take_limits

if TYPE_CHECKING:
    from motion_transformer_jax.benchmarks.official import Peer

_ANY_FIELD = "Any field of the config is set by --config.FIELD=VALUE, such as "


def main(argv: list[str]) -> None:
    """Parse the arguments, measure, and print the figures."""
    parser = Parser(
        "benchmark",
        description="Measure speed, beside a reference in the same run.",
        epilog="subjects:\n  animate       animating a video, if wanted beside the official code\n"
        "  train         the training step, if wanted beside the official code\n"
        "  compile       what passes before the first frame and the first step\n"
        "  data          loading and augmenting training pairs, beside the official way\n"
        "  grid_sample   the warp, beside PyTorch's\n\n"
        "`motrans benchmark SUBJECT --help` tells a subject's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="motrans benchmark SUBJECT ...",
    )
    parser.add_argument("subject", choices=_SUBJECTS, metavar="SUBJECT", help="one of those above")
    subject = parser.parse_args(argv[:1]).subject
    keep_freed_memory()
    _SUBJECTS[subject](argv[1:])


def _animate(argv: list[str]) -> None:
    parser = _network_parser("animate", "Time animating a video, from an mp4 to an mp4, with random weights.")
    _add_timing(parser)
    add = parser.add_argument
    add("--batch", type=int, metavar="N", help="driving frames in a batch (default: 4 on CPU, 16 an accelerator)")
    add("--devices", type=int, default=1, metavar="N", help="share a batch, as many as divide it (default %(default)s)")
    add("--frames", type=int, default=32, metavar="N", help="of the driving video (default %(default)s)")
    arguments, config = _parse_network(parser, argv, "batch", "devices", "frames", "repeats")

    from motion_transformer_jax.benchmarks.animate import measure_animation  # slow to import, as what is below
    from motion_transformer_jax.benchmarks.tables import speed_table

    speed = measure_animation(
        config,
        num_frames=arguments.frames,
        batch_size=arguments.batch,
        num_devices=arguments.devices,
        repeats=arguments.repeats,
        peer=_peer(arguments),
        profile=arguments.profile,
    )
    title = f"Animation, {speed.config}, {arguments.frames} frames in batches of {speed.batch_size}"
    _print(arguments, speed.to_dict(), speed_table(speed, title))


def _train(argv: list[str]) -> None:
    parser = _network_parser("train", "Time the training step, with all of the config's losses and random weights.")
    _add_timing(parser)
    add = parser.add_argument
    add("--batch", type=int, default=2, metavar="N", help="pairs, over all devices (default %(default)s)")
    add("--steps", type=int, metavar="N", help="in a stretch (default: 1 on CPU, 10 on an accelerator)")
    add("--devices", type=int, default=1, metavar="N", help="share a batch, the first ones (default %(default)s)")
    arguments, config = _parse_network(parser, argv, "batch", "steps", "devices", "repeats")

    from motion_transformer_jax.benchmarks.tables import speed_table  # slow to import, as what is below
    from motion_transformer_jax.benchmarks.train import measure_training

    speed = measure_training(
        config,
        batch_size=arguments.batch,
        steps=arguments.steps,
        num_devices=arguments.devices,
        repeats=arguments.repeats,
        peer=_peer(arguments),
        profile=arguments.profile,
    )
    _print(arguments, speed.to_dict(), speed_table(speed, f"Training, {speed.config}, batch of {speed.batch_size}"))


def _compile(argv: list[str]) -> None:
    parser = _network_parser("compile", "Time what passes before the first frame and the first training step.")
    parser.add_argument("--batch", type=int, default=2, metavar="N", help="training pairs (default %(default)s)")
    arguments, config = _parse_network(parser, argv, "batch")

    from motion_transformer_jax.benchmarks.compile import measure_starts  # slow to import, as what is below
    from motion_transformer_jax.benchmarks.tables import start_table

    starts = measure_starts(config, batch_size=arguments.batch)
    title = f"{config.name}, {config.dtype}, training with a batch of {arguments.batch}"
    _print(arguments, [dataclasses.asdict(start) for start in starts], start_table(starts, title))


def _network_parser(subject: str, description: str) -> Parser:
    """A parser with what the subjects have in common that run networks."""
    parser = Parser(f"benchmark {subject}", description=description)
    parser.epilog = _ANY_FIELD + "--config.transformer.depth=4."
    add = parser.add_argument
    add("--config", metavar="FILE[:VARIANT,...]", help="whose networks (default: vox256)" + CONFIG_IS_RUN)
    add("--dtype", choices=("float32", "bfloat16"), help="of convolutions and matrix products (default: the config's)")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _add_timing(parser: Parser) -> None:
    add = parser.add_argument
    add("--repeats", type=int, default=3, metavar="N", help="timed stretches (default %(default)s)")
    add("--peer", type=Path, metavar="DIR", help="measure the official code too: a checkout of JialeTao/MTIA")
    add("--peer-compiled", action="store_true", help="with --peer: run its networks through torch.compile")
    add("--profile", metavar="DIR", help="run once more and write a trace there, for XProf or Perfetto")


def _parse_network(parser: Parser, argv: list[str], *positive: str) -> tuple[argparse.Namespace, ConfigDict]:
    arguments, overrides = parser.parse_known_args(argv)
    _check_positive(parser, arguments, *positive)
    config = parse_config(arguments.config or _default_config(), overrides)
    config.dtype = arguments.dtype or config.dtype
    if getattr(arguments, "profile", None) and Path(arguments.profile).is_file():
        raise UserError(f"--profile {arguments.profile} is a file; expected a folder")
    return arguments, config


def _peer(arguments: argparse.Namespace) -> "Peer | None":
    from motion_transformer_jax.benchmarks.official import Peer  # slow to import

    if arguments.peer_compiled and arguments.peer is None:
        raise UserError("--peer-compiled is about the official code; name its checkout by --peer DIR")
    return arguments.peer and Peer(arguments.peer, compiled=arguments.peer_compiled)


def _check_positive(parser: Parser, arguments: argparse.Namespace, *names: str) -> None:
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; expected 1 or more")


def _default_config() -> str:
    return str(Path(configs.__path__[0]) / "vox256.py")


def _print(arguments: argparse.Namespace, figures: dict | list, table: str) -> None:
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(table)
    if getattr(arguments, "profile", None):
        print(f"\ntrace of one more run in {arguments.profile}: open it in XProf (xprof --logdir) or ui.perfetto.dev")


def _data(argv: list[str]) -> None:
    parser = Parser(
        "benchmark data", description="Time loading and augmenting training pairs, beside the official way."
    )
    add = parser.add_argument
    add("--source", metavar="DIR", help="holds train/ of videos (default: puppets)")
    add("--size", type=int, default=256, metavar="PX", help="side of the frames (default %(default)s)")
    add("--batch", type=int, default=16, metavar="N", help="pairs in a batch (default %(default)s)")
    add("--batches", type=int, default=16, metavar="N", help="batches timed at a stretch (default %(default)s)")
    add("--workers", default="0,1,2", metavar="N,...", help="numbers of worker processes (default %(default)s)")
    add("--config", metavar="FILE[:VARIANT,...]", help="whose augmentation (default: vox256)" + CONFIG_IS_RUN)
    add("--json", action="store_true", help="print JSON instead of a table")
    add_limits(parser)
    parser.epilog = _ANY_FIELD + "--config.augmentation.hue=0."
    arguments, overrides = parser.parse_known_args(argv)
    _check_positive(parser, arguments, "size", "batch", "batches")
    workers = arguments.workers.split(",")
    if not all(count.isascii() and count.isdecimal() for count in workers):
        parser.error(f"--workers is '{arguments.workers}'; expected numbers such as 0,1,2")
    config = parse_config(arguments.config or _default_config(), overrides)

    from motion_transformer_jax.benchmarks.data import measure_loaders  # slow to import, as what is below
    from motion_transformer_jax.benchmarks.tables import loader_table
    from motion_transformer_jax.data.augment import Augmentation

    with applied(take_limits(arguments)):
        speeds = measure_loaders(
            Augmentation(**config.augmentation),
            source=arguments.source and Path(arguments.source),
            size=arguments.size,
            batch_size=arguments.batch,
            num_batches=arguments.batches,
            workers=[int(count) for count in workers],
        )
    if arguments.json:
        print(json.dumps([dataclasses.asdict(speed) for speed in speeds], indent=2))
    else:
        print(loader_table(speeds, f"{arguments.size}x{arguments.size}, augmentation of {config.name}"))


def _grid_sample(argv: list[str]) -> None:
    parser = Parser("benchmark grid_sample", description="Time the warp, beside PyTorch's grid_sample.")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images (default %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=15, metavar="N", help="timed calls of each (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args(argv)
    _check_positive(parser, arguments, "batch", "repeats")

    from motion_transformer_jax.benchmarks.grid_sample import measure_warps  # slow to import
    from motion_transformer_jax.benchmarks.tables import warp_table

    speeds = measure_warps(batch_size=arguments.batch, repeats=arguments.repeats)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(speed) | {"ratio": speed.ratio} for speed in speeds], indent=2))
    else:
        print(warp_table(speeds, f"batch of {arguments.batch}, float32"))


_SUBJECTS = {
    "animate": _animate,
    "train": _train,
    "compile": _compile,
    "data": _data,
    "grid_sample": _grid_sample,
}

if __name__ == "__main__":
    sys.exit(run_command(main))
