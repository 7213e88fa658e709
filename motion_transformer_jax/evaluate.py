"""Evaluate trained models: `python -m motion_transformer_jax.evaluate --checkpoint runs/vox --data data --out report`.

Several checkpoints make a comparison. `evaluate study` asks people which of several systems they prefer; `evaluate
pickles` compares two pickles of FOMM's pose-evaluation.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motion_transformer_jax.cli import Parser, checkpoint_step, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.data.limits import applied
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.limit_options import add_limits, take_limits

if TYPE_CHECKING:
    from motion_transformer_jax.evaluation.checkpoints import Request

# As evaluation.checkpoints has them, which is slow to import.
DETECTORS = ("auto", "faces", "bodies", "puppets", "none")


def main(argv: list[str]) -> None:
    """Parse the arguments and evaluate models, make a preference study, tally its answers, or compare pickles."""
    keep_compiled_programs()
    if argv[:1] == ["pickles"]:
        _compare_pickles(argv[1:])
    elif argv[:2] == ["study", "tally"]:
        _tally(argv[2:])
    elif argv[:1] == ["study"]:
        _study(argv[1:])
    else:
        _evaluate(argv)


def _evaluate(argv: list[str]) -> None:
    parser = Parser(
        "evaluate",
        description="Measure trained models on a test set and write a report: metrics.json, videos.csv, index.html, "
        "videos and pictures. Several checkpoints make a comparison with the first.",
        epilog="`motrans evaluate study` asks people which system they prefer; `motrans evaluate pickles` compares two "
        "pickles of FOMM's pose-evaluation.",
    )
    parser.add_argument("--checkpoint", required=True, nargs="+", metavar="DIR", help="folders of training runs")
    parser.add_argument("--name", nargs="+", default=(), metavar="NAME", help="of the systems (default: the folders')")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the report")
    add_evaluation_options(parser)
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    limits, request = take_limits(arguments), evaluation_options(parser, arguments)

    from motion_transformer_jax.evaluation.checkpoints import evaluate_checkpoints  # slow to import
    from motion_transformer_jax.reporting.report import markdown_table

    with applied(limits):
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
    add("--step", type=checkpoint_step, metavar="best|N", help="step of the checkpoints (default: the newest)")
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
    add("--pickles", action="store_true", help="also write detections as the pickles of FOMM's pose-evaluation")
    add("--per-head", action="store_true", help="also draw each head's attention")
    add("--batch-size", type=int, metavar="N", help="driving frames in a batch")
    add("--seed", type=int, default=0, metavar="N", help="of the grid's choice and the bootstrap (default: 0)")
    add_limits(parser)


def evaluation_options(parser: Parser, arguments: argparse.Namespace) -> "Request":
    """What the options of `add_evaluation_options` ask for."""
    for name, least in {"num_videos": 1, "batch_size": 1, "grid": 0, "seed": 0}.items():
        value = getattr(arguments, name)
        if value is not None and value < least:
            parser.error(f"--{name.replace('_', '-')} is {value}; expected {least} or more")

    from motion_transformer_jax.evaluation.checkpoints import Request  # slow to import

    fields = [field.name for field in dataclasses.fields(Request)]
    return Request(**{name: getattr(arguments, name) for name in fields})


def _compare_pickles(argv: list[str]) -> None:
    parser = Parser(
        "evaluate pickles",
        description="Compare two pickles of FOMM's pose-evaluation, as its scripts do: AKD and MKR of keypoints, AED "
        "of identities. Nothing in the files is executed.",
    )
    parser.add_argument("truth", metavar="TRUTH", help="pickle of the real videos")
    parser.add_argument("found", metavar="RESULT", help="pickle of the reconstructed videos")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.detection.pose_pickles import compare_pickles  # slow to import

    for name, figure in compare_pickles(arguments.truth, arguments.found).items():
        print(f"{name.upper()} {figure.value:.6g} ({figure.count} {figure.unit})")


def _study(argv: list[str]) -> None:
    parser = Parser(
        "evaluate study",
        description="Write a page that asks people which of two systems' results they prefer, unnamed and in random "
        "order. It is one file, to be sent or put on any server; its key, to be kept, is written beside it.",
        epilog="`motrans evaluate study tally KEY ANSWERS...` counts the answers that the page downloads.",
    )
    parser.add_argument("reports", nargs="+", metavar="REPORT", help="folders of reports on the same test set")
    parser.add_argument("--out", required=True, type=Path, metavar="HTML", help="the page")
    parser.add_argument("--questions", type=int, default=20, metavar="N", help="at most (default: 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of videos, order and sides (default: 0)")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    for name, least in {"questions": 1, "seed": 0}.items():
        if getattr(arguments, name) < least:
            parser.error(f"--{name} is {getattr(arguments, name)}; expected {least} or more")

    from motion_transformer_jax.reporting.study import key_path, write_study  # slow to import

    key = write_study(arguments.reports, arguments.out, questions=arguments.questions, seed=arguments.seed)
    print(f"{arguments.out}: {len(key.questions)} questions about {', '.join(key.systems)}, for participants")
    print(f"{key_path(arguments.out)}: who is who, for the tally; keep it from participants")


def _tally(argv: list[str]) -> None:
    parser = Parser("evaluate study tally", description="Count the answers of a preference study.")
    parser.add_argument("key", metavar="KEY", help="the study's NAME_key.json")
    parser.add_argument("answers", nargs="+", metavar="ANSWERS", help="files that participants downloaded")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the figures to this file")
    arguments = parser.parse_args(argv)

    from motion_transformer_jax.reporting.preferences import (  # slow to import
        preference_table,
        tally_answers,
        write_preferences,
    )

    preferences = tally_answers(arguments.key, arguments.answers)
    if arguments.out is not None:
        write_preferences(arguments.out, preferences)
    print(preference_table(preferences))


if __name__ == "__main__":
    sys.exit(run_command(main))
