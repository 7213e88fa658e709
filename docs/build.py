"""Renews what in docs/ is made of something else: the --help texts in commands.md, and house.svg.

python docs/build.py    or    make docs

- commands.md: a new command or action needs a marker, `<!-- help: motrans NAME -->`, and an empty block below it; its
  recipe is written by hand.
- house.svg shows the table of floors in architecture.md.

tests/docs/ fails where something is missing or stale.
"""

import contextlib
import io
import os
import re
from pathlib import Path

from motion_transformer_jax import cli
from motion_transformer_jax.atomic import atomic_path

DOCS = Path(__file__).parent
COLUMNS = "100"  # argparse wraps to the terminal's width

HELP_BLOCK = re.compile(
    r"(<!-- help: motrans(?P<command>.*?) -->\n```text\n)(?P<text>.*?)(?=^```$)", re.DOTALL | re.MULTILINE
)
FLOOR_ROW = re.compile(r"^\| (?P<floor>\d|ground) \| (?P<rooms>(?:`\w+` ?)+)\|", re.MULTILINE)

_WIDTH, _HEIGHT, _LEFT, _ROOF = 760, 54, 90, 52
_COLORS = {
    "5": "#f9e1e1",
    "4": "#fbead2",
    "3": "#fdf6cf",
    "2": "#e4f2dc",
    "1": "#e3ecfa",
    "0": "#e9e3f6",
    "ground": "#e2e2dd",
}
_HOUSE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {height}" role="img"
     font-family="Helvetica, Arial, sans-serif"
     aria-label="Floors, commands on top, ops at the bottom, and the ground that all may stand on">
  <style>
    rect {{ stroke: #444; stroke-width: 1.5 }}
    text {{ fill: #222; text-anchor: middle }}
    .floor {{ font-size: 13px; fill: #666; text-anchor: start }}
  </style>
  <rect width="880" height="{height}" rx="10" fill="#fcfcfa" style="stroke:none"/>
  <path d="M{left} {top} L{middle} 18 L{right} {top}z" fill="#efefec" stroke="#444" stroke-width="1.5"/>
{rooms}
</svg>
"""


def main() -> None:
    """Rewrite the page and the drawing."""
    for name, build in {"commands.md": build_commands, "house.svg": build_house}.items():
        with atomic_path(DOCS / name) as temporary:
            temporary.write_text(build())


def build_commands() -> str:
    """The page of commands with today's options."""
    page = (DOCS / "commands.md").read_text()
    return HELP_BLOCK.sub(lambda block: block[1] + help_text(block["command"]), page)


def help_text(command: str) -> str:
    """What `motrans COMMAND --help` prints; an empty command is motrans itself."""
    printed, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            cli.main([*command.split(), "--help"])
    finally:
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)
    return printed.getvalue()


def read_floors() -> dict[str, list[str]]:
    """The rooms of each floor, the highest first, as architecture.md has them."""
    rows = FLOOR_ROW.finditer((DOCS / "architecture.md").read_text())
    return {row["floor"]: re.findall(r"\w+", row["rooms"]) for row in rows}


def build_house() -> str:
    """The drawing of the floors, an SVG."""
    floors, lines = read_floors(), []
    top = 18 + _ROOF
    for y, (floor, rooms) in zip(range(top, 10_000, _HEIGHT), floors.items(), strict=False):
        label = floor if floor == "ground" else f"floor {floor}"
        lines.append(f'  <text class="floor" x="24" y="{y + 32}">{label}</text>')
        width = _WIDTH / len(rooms)
        for index, room in enumerate(rooms):
            x, size = _LEFT + index * width, min(15, 1.45 * width / len(room))
            lines.append(
                f'  <rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_HEIGHT}" fill="{_COLORS[floor]}"/>'
                f'<text x="{x + width / 2:.1f}" y="{y + 32}" font-size="{size:.1f}">{room}</text>'
            )
    return _HOUSE.format(
        height=top + len(floors) * _HEIGHT + 20,
        left=_LEFT,
        top=top,
        middle=_LEFT + _WIDTH / 2,
        right=_LEFT + _WIDTH,
        rooms="\n".join(lines),
    )


if __name__ == "__main__":
    main()
