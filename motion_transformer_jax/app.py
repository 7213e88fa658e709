"""Animate pictures in the browser: `python -m motion_transformer_jax.app`.

Serves one page on this machine: drop a picture and a clip, watch the result come, download it.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.cli import Parser, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.web.uploads import UploadLimits

_LIMITS = [field.name for field in dataclasses.fields(UploadLimits)]


def main(argv: list[str]) -> None:
    """Parse the arguments, and serve the page until interrupted."""
    keep_compiled_programs()
    keep_freed_memory(in_threads=True)
    parser = _create_parser()
    arguments = vars(parser.parse_args(argv))
    for name in (*_LIMITS, "keep_minutes"):
        if not 0 < arguments[name] < math.inf:
            parser.error(f"--{name.replace('_', '-')} is {arguments[name]:g}; expected more than 0")

    from motion_transformer_jax.web.server import serve  # slow to import, not needed for --help

    limits = UploadLimits(**{name: arguments.pop(name) for name in _LIMITS})
    serve(arguments.pop("checkpoint"), limits=limits, **arguments)


def _create_parser() -> Parser:
    parser = Parser("app", description="Animate pictures in the browser, on a page that this machine serves.")
    parser.add_argument(
        "--checkpoint",
        default=["puppets"],
        nargs="+",
        metavar="DIR",
        help="folders of training runs, their --workdir; visitors choose among them (default: puppets, that comes with "
        "the package)",
    )
    parser.add_argument(
        "--examples",
        type=Path,
        default=EXAMPLES,
        metavar="DIR",
        help="pictures (*.png) and clips (*.mp4) to offer (default: puppets)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0: all of this machine's, for anyone who reaches it (default: %(default)s)",
    )
    parser.add_argument("--port", type=_port, default=7860, help="port to listen on (default: %(default)s)")
    most = UploadLimits()
    parser.add_argument(
        "--max-bytes", type=int, default=most.max_bytes, metavar="N", help="of a file (default: %(default)s)"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=most.max_pixels,
        metavar="N",
        help="of a picture or a clip's frame (default: %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=most.max_seconds,
        metavar="SECS",
        help="of a clip (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-minutes",
        type=float,
        default=60,
        metavar="MINUTES",
        help="after which uploads and results are deleted (default: %(default)s)",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 65535, got '{text}'")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
