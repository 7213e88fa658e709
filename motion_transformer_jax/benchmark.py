"""Measure speed, beside a reference in the same run.

python -m motion_transformer_jax.benchmark data
python -m motion_transformer_jax.benchmark grid_sample
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motion_transformer_jax import configs
from motion_transformer_jax.cli import Parser, parse_config, run_command

if TYPE_CHECKING:
    from motion_transformer_jax.benchmarks.data import LoaderSpeed
    from motion_transformer_jax.benchmarks.grid_sample import WarpSpeed


def main(argv: list[str]) -> None:
    """Parse the arguments, measure, and print the figures."""
    parser = Parser(
        "benchmark",
        description="Measure speed, beside a reference in the same run.",
        epilog="subjects:\n  data          loading and augmenting training pairs, beside the official way\n"
        "  grid_sample   the warp, beside PyTorch's\n\n"
        "`motrans benchmark SUBJECT --help` tells a subject's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="motrans benchmark SUBJECT ...",
    )
    parser.add_argument("subject", choices=_SUBJECTS, metavar="SUBJECT", help="one of those above")
    _SUBJECTS[parser.parse_args(argv[:1]).subject](argv[1:])


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
    add("--config", metavar="FILE[:VARIANT,...]", help="whose augmentation (default: vox256)")
    add("--json", action="store_true", help="print JSON instead of a table")
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.augmentation.hue=0."
    arguments, overrides = parser.parse_known_args(argv)
    for name in ("size", "batch", "batches"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} is {getattr(arguments, name)}; expected 1 or more")
    workers = arguments.workers.split(",")
    if not all(count.isascii() and count.isdecimal() for count in workers):
        parser.error(f"--workers is '{arguments.workers}'; expected numbers such as 0,1,2")
    config = parse_config(arguments.config or str(Path(configs.__path__[0]) / "vox256.py"), overrides)

    from motion_transformer_jax.benchmarks.data import measure_loaders  # slow to import, as what is below
    from motion_transformer_jax.data.augment import Augmentation

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
        print(_loader_table(speeds, f"{arguments.size}x{arguments.size}, augmentation of {config.name}"))


def _loader_table(speeds: "list[LoaderSpeed]", title: str) -> str:
    """Pairs a second, and ratios to the first line."""
    official = speeds[0]
    header = [
        "",
        "workers",
        "pairs/s",
        "lowest to highest",
        "ratio",
        "pairs per core second",
        "ratio",
        "MiB at first and last",
    ]
    rows = [header]
    for speed in speeds:
        rate, per_core = speed.pairs_per_second, speed.pairs_per_core_second
        spread = f"{speed.spread[0]:.1f} to {speed.spread[1]:.1f}"
        ratio = f"{rate / official.pairs_per_second:.2f}"
        core = ["", ""] if per_core is None else [f"{per_core:.1f}", f"{per_core / official.pairs_per_core_second:.2f}"]
        memory = "" if speed.memory_mib is None else "{:.0f} to {:.0f}".format(*speed.memory_mib)
        rows.append([speed.name, str(speed.workers), f"{rate:.1f}", spread, ratio, *core, memory])
    return f"Training pairs, {title}\n\n{_aligned(rows)}"


def _grid_sample(argv: list[str]) -> None:
    parser = Parser("benchmark grid_sample", description="Time the warp, beside PyTorch's grid_sample.")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images (default %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=15, metavar="N", help="timed calls of each (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args(argv)
    for name in ("batch", "repeats"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} is {getattr(arguments, name)}; expected 1 or more")

    from motion_transformer_jax.benchmarks.grid_sample import measure_warps  # slow to import

    speeds = measure_warps(batch_size=arguments.batch, repeats=arguments.repeats)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(speed) | {"ratio": speed.ratio} for speed in speeds], indent=2))
    else:
        print(_warp_table(speeds, f"batch of {arguments.batch}, float32"))


def _warp_table(speeds: "list[WarpSpeed]", title: str) -> str:
    """Milliseconds, and how many times faster ours is."""
    rows = [["", "ours, ms", "lowest to highest", "PyTorch, ms", "lowest to highest", "times faster", "difference"]]
    for speed in speeds:
        name = (
            f"{speed.size}x{speed.size}, {speed.channels} channels, {'and gradients' if speed.backward else 'forward'}"
        )
        times = []
        for timing in (speed.ours, speed.peer):
            times += [f"{1e3 * timing.median:.2f}", f"{1e3 * timing.lowest:.2f} to {1e3 * timing.highest:.2f}"]
        rows.append([name, *times, f"{speed.ratio:.2f}", f"{speed.difference:.1e}"])
    return f"Bilinear warp, {title}\n\n{_aligned(rows)}"


def _aligned(rows: list[list[str]]) -> str:
    """Columns side by side, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


_SUBJECTS = {"data": _data, "grid_sample": _grid_sample}

if __name__ == "__main__":
    sys.exit(run_command(main))
