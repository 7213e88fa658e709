"""Animate an image: `python -m motion_transformer_jax.animate --checkpoint runs/taichi256 --source me.png ...`.

`--driving dance.mp4 --out result.mp4` name the video whose motion is carried over, and the result.
"""

import argparse
import sys
from pathlib import Path
from typing import Literal

from motion_transformer_jax.cli import Parser, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.limit_options import add_limits, take_limits


def main(argv: list[str]) -> int | None:
    """Parse the arguments, animate, and print what was done."""
    keep_compiled_programs()
    parsed = _create_parser().parse_args(argv)
    limits, arguments = take_limits(parsed), vars(parsed)

    from motion_transformer_jax.data.limits import applied
    from motion_transformer_jax.inference.animated_video import animate_video  # slow to import, not needed for --help
    from motion_transformer_jax.inference.animator import Animator

    checkpoint, out = arguments.pop("checkpoint"), arguments["out"]
    with applied(limits):
        summary = animate_video(lambda: Animator.load(checkpoint), **arguments)
    chosen = "" if summary.best_frame is None else f", best frame {summary.best_frame}"
    print(f"{out}: {summary.frames} frames, {summary.frames / summary.seconds:.1f} frames/s{chosen}")


def _create_parser() -> Parser:
    parser = Parser("animate", description="Move the figure in an image as the one in a video moves.")
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="folder of a training run, its --workdir")
    parser.add_argument("--source", required=True, metavar="IMAGE", help="image to animate, of any size")
    parser.add_argument("--driving", required=True, metavar="VIDEO", help="video, folder of frames or film strip")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="result: .mp4, .webm or .gif")
    parser.add_argument(
        "--mode",
        choices=("relative", "absolute", "avd"),
        help="carry over the change since one driving frame, the driving motion itself, or the driving pose in the "
        "source figure's shape (MRAA with a disentangler) (default: the config's)",
    )
    parser.add_argument(
        "--adapt-scale",
        action=argparse.BooleanOptionalAction,
        help="scale relative motion by the figures' size (default: the config's)",
    )
    parser.add_argument(
        "--best-frame",
        type=_best_frame,
        metavar="auto|N",
        help="driving frame in the source's pose, from which relative motion is measured; auto: look for it "
        "(default: 0, the first)",
    )
    parser.add_argument("--side-by-side", action="store_true", help="write source, driving video and result in a row")
    parser.add_argument("--fps", type=float, help="frames per second of the result (default: the driving video's)")
    add_limits(parser)
    return parser


def _best_frame(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected auto or a frame's number from 0, got '{text}'")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
