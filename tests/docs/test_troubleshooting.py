"""docs/troubleshooting.md quotes messages as they are."""

import ast
import re

import pytest
from repository import DOCS, ROOT

# The first column of the tables of messages; … stands for what a message fills in.
QUOTED = re.findall(r"^\| `([^|]+?)`(?: \([^|]*\))? \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)

TABLES = re.findall(
    r"^\| message \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE
)


def texts(path):
    """The literal strings of a file, as they are printed: f-strings with … for what they fill in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)


MESSAGES = "\n".join(
    text
    for folder in ("motion_transformer_jax", "configs")
    for path in ROOT.glob(f"{folder}/**/*.py")
    for text in texts(path)
)


def test_many_are_there():
    """Every row of a table of messages quotes one, which is looked for below."""
    assert len(QUOTED) > 90
    rows = [row for table in TABLES for row in table.strip().splitlines()]
    assert len(rows) == len(QUOTED), "a row that quotes no message as `...`"


@pytest.mark.parametrize("message", QUOTED)
def test_message_is_in_the_source(message):
    """Its pieces follow one another within one message."""
    pieces = [re.escape(piece.strip()) for piece in message.split("…")]
    assert re.search(".*?".join(pieces), MESSAGES), "the message has changed: quote it anew"
