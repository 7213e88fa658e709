"""The poster's capacity table: `python -m motion_transformer_jax.capacity`.

`--config configs/ted384.py:mraa` gives the table of any config instead.
"""

import dataclasses
import json
import sys
import textwrap
from typing import TYPE_CHECKING

from motion_transformer_jax.cli import CONFIG_IS_RUN, Parser, parse_config, run_command

if TYPE_CHECKING:
    from motion_transformer_jax.evaluation.capacity import Capacity

_LEGEND = (
    "multiply-adds: of convolutions and linear layers, in one call with a batch of 1; papers count these. activations: "
    "products of activations with each other, as in attention. fixed: products with constants (shrinking and resizing, "
    "written as matrices whose zeros count) and of weights alone."
)


def main(argv: list[str]) -> None:
    """Parse the arguments, count, and print the table."""
    parser = _create_parser()
    arguments, overrides = parser.parse_known_args(argv)
    if arguments.config is None and overrides:
        parser.error(f"unexpected argument '{overrides[0]}' without --config FILE")
    config = arguments.config and parse_config(arguments.config, overrides)

    from motion_transformer_jax.evaluation.capacity import config_capacities, poster_capacities  # slow to import

    capacities = config_capacities(config) if config else poster_capacities()
    print(_json(capacities) if arguments.json else _table(capacities))


def _create_parser() -> Parser:
    parser = Parser(
        "capacity",
        description="Print the parameters and multiply-adds of the networks, beside the poster's figures; or those of "
        "any config.",
    )
    parser.add_argument(
        "--config", metavar="FILE[:VARIANT,...]", help="a config to count, such as configs/ted384.py" + CONFIG_IS_RUN
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table; figures are exact")
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.model.image_size=512."
    return parser


def _json(capacities: "list[Capacity]") -> str:
    return json.dumps([{**dataclasses.asdict(line), "misses": line.misses} for line in capacities], indent=2)


def _table(capacities: "list[Capacity]") -> str:
    """Aligned columns, a legend, and a line for everything that is not as the poster says."""
    with_poster = any(line.poster for line in capacities)
    poster = ["poster", "ratio"] if with_poster else []
    header = ["network", "parameters", *poster, "multiply-adds", *poster, "activations", "fixed"]
    rows = [header, *(_row(line, with_poster) for line in capacities)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    size, name = capacities[0].image_size, "Poster's capacity table" if with_poster else capacities[0].config
    text = [f"{name}, frames of {size}x{size}", ""]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    text += ["", *textwrap.wrap(_LEGEND, 120)]
    for line in capacities:
        text += [f"Differs from the poster: {line.network}: {miss}" for miss in line.misses]
        text += [f"Note: {line.network}: {line.note}"] if line.note else []
    return "\n".join(text)


def _row(line: "Capacity", with_poster: bool) -> list[str]:
    counts = line.multiply_adds
    parameters, layers = [_count(line.parameters, "M")], [_count(counts.layers, "G")]
    if with_poster:
        parameters += _beside(line.parameters, line.poster and line.poster.parameters_millions, "M")
        layers += _beside(counts.layers, line.poster and line.poster.multiply_adds_billions, "G")
    return [line.network, *parameters, *layers, _count(counts.activations, "G"), _count(counts.fixed, "G")]


_UNITS = {"M": 1e6, "G": 1e9}


def _count(number: int, unit: str) -> str:
    """Three digits behind the point, one more than the poster has: it cuts some figures and rounds others."""
    if number == 0:
        return "0"
    value = number / _UNITS[unit]
    return f"{value:.3f} {unit}" if value >= 0.001 else f"<0.001 {unit}"


def _beside(number: int, poster: float | None, unit: str) -> list[str]:
    return ["-", "-"] if poster is None else [f"{poster:.2f} {unit}", f"{number / _UNITS[unit] / poster:.3f}"]


if __name__ == "__main__":
    sys.exit(run_command(main))
