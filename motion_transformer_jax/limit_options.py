"""The options of every command that reads the user's images and videos: how much a file may ask for."""

import argparse
import dataclasses
import math

from motion_transformer_jax.data.limits import MediaLimits

_WHAT = {
    "max_pixels": "of an image, a film strip or a video's frame",
    "max_frames": "of a video",
    "max_seconds": "of a video",
    "max_bytes": "of a file on disk",
}


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Adds the options that raise, or lower, the limits of the user's media: one for each field of MediaLimits."""
    group = parser.add_argument_group("limits of images and videos, against files that ask for too much")
    for field in dataclasses.fields(MediaLimits):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=_positive_number if field.type is float else _positive_whole,
            default=field.default,
            metavar="N",
            help=f"{_WHAT[field.name]} (default: {field.default:,})",
        )


def take_limits(arguments: argparse.Namespace) -> MediaLimits:
    """The limits that the options of `add_limits` gave; they are taken out of the arguments."""
    return MediaLimits(**{field.name: vars(arguments).pop(field.name) for field in dataclasses.fields(MediaLimits)})


def _positive_whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got '{text}'")
    return int(text)


def _positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{text}'")
    return number
