"""Evaluate trained models: `python -m motion_transformer_jax.evaluate --checkpoint runs/vox --data data --out report`.

Several checkpoints make a comparison.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motion_transformer_jax.cli import Parser, run_command

if TYPE_CHECKING:
    from motion_transformer_jax.evaluation.checkpoints import Request

# As evaluation.checkpoints has them, which is slow to import.
DETECTORS = ("auto", "faces", "bodies", "puppets", "none")


def main(argv: list[str]) -> None:
    """Parse the arguments, evaluate, and print the table."""
    parser = Parser(
        "evaluate",
        description="Measure trained models on a test set and write a report: metrics.json, videos.csv, index.html, "
        "videos and pictures. Several checkpoints make a comparison with the first.",
    )
    parser.add_argument("--checkpoint", required=True, nargs="+", metavar="DIR", help="folders of training runs")
    parser.add_argument("--name", nargs="+", default=(), metavar="NAME", help="of the systems (default: the folders')")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the report")
    add_evaluation_options(parser)
    arguments = parser.parse_args(argv)
    request = evaluation_options(parser, arguments)

    from motion_transformer_jax.evaluation.checkpoints import evaluate_checkpoints  # slow to import
    from motion_transformer_jax.evaluation.report import markdown_table

    evaluation = evaluate_checkpoints(arguments.checkpoint, arguments.out, request, names=arguments.name)
    print(markdown_table(evaluation))
    print(f"see {arguments.out / 'index.html'}")


def add_evaluation_options(parser: Parser) -> None:
    """Adds the options that say what to evaluate on and what to measure."""
    add = parser.add_argument
    add(
        "--data",
        default="",
        metavar="DIR",
        help="prepared dataset, folder of videos, or 'puppets' (default: what the first model was trained on)",
    )
    add("--split", choices=("test", "train"), default="test")
    add("--step", type=_step, metavar="best|N", help="step of the checkpoints (default: the newest)")
    add(
        "--detector",
        choices=DETECTORS,
        default="auto",
        help="of keypoints and identities, for AKD, MKR and AED (default: what suits the dataset)",
    )
    add("--pose-onnx", default="", metavar="FILE", help="2-D pose network of the detector 'bodies'")
    add("--identity-onnx", default="", metavar="FILE", help="identity network of 'bodies', for AED")
    add("--num-videos", type=int, metavar="N", help="evaluate the first N videos only")
    add(
        "--lpips",
        action=argparse.BooleanOptionalAction,
        help="measure LPIPS, downloading its weights if need be (default: where they are there)",
    )
    add(
        "--grid",
        type=int,
        default=3,
        metavar="N",
        help="cross-identity animation of N sources by N driving videos; 0: none (default: 3)",
    )
    add("--pairs", default="", metavar="FILE", help="animate these instead: CSV of source,driving, or 'dataset'")
    add("--png", action="store_true", help="also write predictions as lossless film strips")
    add("--per-head", action="store_true", help="also draw each head's attention")
    add("--batch-size", type=int, metavar="N", help="driving frames in a batch")
    add("--seed", type=int, default=0, metavar="N", help="of the grid's choice and the bootstrap (default: 0)")


def evaluation_options(parser: Parser, arguments: argparse.Namespace) -> "Request":
    """What the options of `add_evaluation_options` ask for."""
    for name, least in {"num_videos": 1, "batch_size": 1, "grid": 0, "seed": 0}.items():
        value = getattr(arguments, name)
        if value is not None and value < least:
            parser.error(f"--{name.replace('_', '-')} is {value}; expected {least} or more")

    from motion_transformer_jax.evaluation.checkpoints import Request  # slow to import

    fields = [field.name for field in dataclasses.fields(Request)]
    return Request(**{name: getattr(arguments, name) for name in fields})


def _step(text: str) -> int | str:
    if text == "best":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected best or a step's number, got '{text}'")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
