"""Animate images: `python -m motion_transformer_jax.animate --out result.mp4` shows it on a bundled example.

`--checkpoint runs/taichi256 --source me.png --driving dance.mp4` name a trained model, the image, and the video whose
motion is carried over.
"""

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, Literal

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.cli import Parser, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.limit_options import add_limits, take_limits

# A model that comes with the package, and a figure and a motion that its training has not seen.
_CHECKPOINT, _SOURCE, _DRIVING = "puppets", EXAMPLES / "puppet-1.png", EXAMPLES / "dance.mp4"

# Frames that waited no longer to be read were as good as read at once.
_WORTH_TELLING_SECS = 0.1

if TYPE_CHECKING:
    from motion_transformer_jax.inference.animated_video import Summary
    from motion_transformer_jax.inference.live import Latency


def main(argv: list[str]) -> int | None:
    """Parse the arguments, animate, and print what was done."""
    keep_compiled_programs()
    parser = _create_parser()
    parsed = parser.parse_args(_with_signed_values(argv))
    keep_freed_memory()
    limits, arguments = take_limits(parsed), vars(parsed)

    # Slow to import, and not needed for --help.
    from motion_transformer_jax.data.limits import applied
    from motion_transformer_jax.inference.animated_video import animate_sources, animate_video
    from motion_transformer_jax.inference.animator import Animator
    from motion_transformer_jax.inference.live import STANDARD_STREAM, is_live
    from motion_transformer_jax.inference.options import AnimationOptions

    names = ("checkpoint", "source", "driving", "out", "format", "batch_size")
    checkpoint, sources, driving, out, form, batch_size = (arguments.pop(name) for name in names)
    options = AnimationOptions(**arguments)

    def create_animator() -> Animator:
        return Animator.load(checkpoint, batch_size=batch_size or (1 if is_live(driving) else None))

    several = len(sources) > 1 or os.path.isdir(sources[0])
    if form is not None and not several:
        parser.error("--format is for several sources; the result of a single one is told by the name of --out")
    with applied(limits):
        if several:
            summaries = animate_sources(create_animator, sources, driving, out, options, form=form)
        else:
            summaries = [animate_video(create_animator, sources[0], driving, out, options)]
    for summary in summaries:
        print(_describe(summary), file=sys.stderr if out == STANDARD_STREAM else sys.stdout)


def _describe(summary: "Summary") -> str:
    text = f"{summary.out}: {summary.frames} frame{'' if summary.frames == 1 else 's'} in {summary.seconds:.1f} s"
    if summary.frames_per_sec is not None:
        text += f" ({summary.frames_per_sec:.1f} frames/s after the first batch)"
    if summary.best_frame is not None:
        text += f", best frame {summary.best_frame}"
    return text if summary.latency is None else f"{text}, {_describe_latency(summary.latency)}"


def _describe_latency(latency: "Latency") -> str:
    median, high = (round(1000 * seconds) for seconds in (latency.median, latency.percentile_95))
    text = f"latency {median} ms (95 %: {high} ms)"
    if latency.paused < _WORTH_TELLING_SECS:
        return text
    return (
        f"{text} from when a frame was read; frames came faster and waited {latency.paused:.1f} s to be read, which "
        "--live avoids"
    )


def _create_parser() -> Parser:
    parser = Parser("animate", description="Move the figure in an image as the one in a video moves.")
    for add_arguments in (_add_files, _add_motion, _add_picture, _add_frames, _add_output):
        add_arguments(parser)
    add_limits(parser)
    return parser


def _add_files(parser: Parser) -> None:
    files = parser.add_argument_group("files")
    files.add_argument(
        "--checkpoint",
        default=_CHECKPOINT,
        metavar="DIR",
        help="folder of a training run, its --workdir (default: %(default)s, which comes with the package and knows "
        "drawn puppets alone)",
    )
    files.add_argument(
        "--source",
        default=[str(_SOURCE)],
        nargs="+",
        metavar="IMAGE",
        help="image to animate, of any size; several, or a folder (default: a puppet)",
    )
    files.add_argument(
        "--driving",
        default=str(_DRIVING),
        metavar="VIDEO",
        help="video, folder of frames, film strip or single image; - for raw rgb24 frames on the standard input; "
        "/dev/video0 for a camera (default: a waving puppet)",
    )
    files.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="result: .mp4, .webm or .gif; NAME/ for a folder of PNG frames; .png, of a single driving image; - for "
        "raw rgb24 frames on the standard output. Of several sources: the folder of their results. A file of that name "
        "is replaced; of a folder of frames see --overwrite",
    )
    files.add_argument(
        "--format",
        choices=("mp4", "webm", "gif", "png", "frames"),
        help="of the results of several sources (default: mp4; png for a single driving image)",
    )


def _add_motion(parser: Parser) -> None:
    motion = parser.add_argument_group("motion")
    motion.add_argument(
        "--mode",
        choices=("relative", "absolute", "avd"),
        help="carry over the change since one driving frame, the driving motion itself, or the driving pose in the "
        "source figure's shape (MRAA with a disentangler) (default: the config's; absolute for a single driving image)",
    )
    motion.add_argument(
        "--adapt-scale",
        action=argparse.BooleanOptionalAction,
        help="scale relative motion by the figures' size (default: the config's)",
    )
    motion.add_argument(
        "--best-frame",
        type=_best_frame,
        metavar="auto|N",
        help="driving frame in the source's pose, from which relative motion is measured, counted from 0 at --start "
        "and at the rate of --fps; auto: look for it; other modes than relative do without (default: 0)",
    )
    motion.add_argument(
        "--multiply",
        type=float,
        default=1.0,
        metavar="X",
        help="strengthen relative motion, 1.2 by a fifth (default: 1)",
    )
    motion.add_argument("--smooth", action="store_true", help="take the jitter out of the motion")


def _add_picture(parser: Parser) -> None:
    picture = parser.add_argument_group("picture")
    for name, what, how in (("--crop", "source", "around"), ("--driving-crop", "driving video", "following")):
        picture.add_argument(
            name,
            type=_crop,
            default="none",
            metavar="auto|none|X,Y,W,H",
            help=f"square of the {what} that the model sees: auto, {how} the face (with the extra [eval]) or what "
            "stands out; none, the largest in the middle; or about a rectangle in pixels (default: none)",
        )
    picture.add_argument(
        "--paste-back", action="store_true", help="put the result back into the whole source picture, with a soft edge"
    )
    picture.add_argument(
        "--view",
        choices=("result", "side-by-side", "overlay"),
        default="result",
        help="write the result; source, driving video and result in a row; or the result with its keypoints "
        "(default: result)",
    )


def _add_frames(parser: Parser) -> None:
    frames = parser.add_argument_group("frames")
    frames.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="of the driving video (default: 0)")
    frames.add_argument("--end", type=float, metavar="SECONDS", help="of the driving video (default: its end)")
    frames.add_argument(
        "--fps",
        type=float,
        help="frames per second of the result; the duration stays (default: the driving video's; 25 for frames without "
        "a rate)",
    )
    frames.add_argument(
        "--driving-size", type=_size, metavar="WxH", help="of raw driving frames, or what a camera is asked for"
    )
    frames.add_argument(
        "--live",
        action="store_true",
        help="of raw driving frames animate the newest, and leave out those that come meanwhile, as of a camera's; "
        "without it each is animated, however late",
    )
    frames.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="driving frames at once (default: 4 on a CPU, else 16; 1 for live frames)",
    )


def _add_output(parser: Parser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--no-audio", dest="sound", action="store_false", help="without the driving video's sound (mp4, webm)"
    )
    output.add_argument(
        "--lossless", action="store_true", help="keep every pixel's value (mp4, webm; fewer programs play them)"
    )
    output.add_argument(
        "--no-label",
        dest="label",
        action="store_false",
        help="without the note in the file's metadata that it is synthetic",
    )
    output.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a folder of PNG frames whoever made them; without it only one whose frames all have that note",
    )


def _with_signed_values(argv: list[str]) -> list[str]:
    """Arguments with values such as -10,0,5,5 behind an =: argparse would take them for options."""
    joined = []
    for argument in argv:
        if joined and joined[-1] in ("--crop", "--driving-crop") and re.match(r"-\d", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _best_frame(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected auto or a frame's number from 0, got '{text}'")
    return int(text)


def _crop(text: str) -> str | tuple[int, ...]:
    if text in ("auto", "none"):
        return text
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6}){3}", text):
        raise argparse.ArgumentTypeError(f"expected auto, none or left,top,width,height in pixels, got '{text}'")
    return tuple(map(int, text.split(",")))


def _size(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,6}x[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in pixels, such as 640x480, got '{text}'")
    return tuple(map(int, text.split("x")))


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got '{text}'")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
