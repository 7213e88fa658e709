"""docs/commands.md: every command is there, with the options that it has now."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from repository import DOCS, load_script

import motion_transformer_jax
from motion_transformer_jax import animate, cli

build = load_script(DOCS / "build.py")
PAGE = (DOCS / "commands.md").read_text()
BLOCKS = {block["command"].strip(): block["text"] for block in build.HELP_BLOCK.finditer(PAGE)}


def parsers_in_the_source():
    """Names that the package's parsers are made with, where they are written out."""
    for path in Path(motion_transformer_jax.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_parser = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Parser" and node.args
            if is_parser and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


@pytest.mark.parametrize("command", sorted({*cli.COMMANDS, *parsers_in_the_source()}))
def test_every_command_is_on_the_page(command):
    assert command in BLOCKS, "give it a recipe and a marker as docs/build.py says, then `make docs`"


@pytest.mark.parametrize("command", BLOCKS)
def test_options_are_those_of_today(command):
    """But for white space: Pythons break lines at different places."""
    assert BLOCKS[command].split() == build.help_text(command).split(), "run `make docs`"


def test_building_mends_stale_blocks_and_nothing_else(tmp_path, monkeypatch):
    page = build.build_commands()
    stale = page.replace("--workdir DIR", "--folder DIR")
    assert stale != page
    (tmp_path / "commands.md").write_text(stale)
    monkeypatch.setattr(build, "DOCS", tmp_path)
    assert build.build_commands() == page


def test_options_in_recipes_are_there():
    """What is written by hand names no option that is gone."""
    recipes = build.HELP_BLOCK.sub("", PAGE)
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", recipes)) - {"--config", "--help"}
    assert len(options) > 20
    assert not [option for option in options if not re.search(rf"{option}\b(?!-)", "".join(BLOCKS.values()))]


def test_recipes_of_animate_are_taken():
    """Every line parses."""
    section = PAGE[PAGE.index("\n## animate\n") : PAGE.index("<!-- help: motrans animate -->")]
    lines = re.findall(r"\bmotrans (animate [^|#`\n]*)", section)
    assert len(lines) > 20
    for line in lines:
        animate._create_parser().parse_args(shlex.split(line)[1:])
