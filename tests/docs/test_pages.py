"""docs/: links lead somewhere, and what is said about the source is still there."""

import re

import pytest
from repository import DOCS, ROOT, load_script
from test_architecture import COMMAND_FLOOR, FLOORS, GROUND

from motion_transformer_jax import cli
from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.data.video import read_frames

build = load_script(DOCS / "build.py")
PACKAGE = ROOT / "motion_transformer_jax"
SOURCE = "\n".join(
    path.read_text() for folder in ("motion_transformer_jax", "configs") for path in ROOT.glob(f"{folder}/**/*.py")
)
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(page):
    text = page.read_text()
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if heading:
            assert heading in headings(file.read_text()), heading


@pytest.mark.slow
def test_the_readmes_snippet_writes_a_video(tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "snippet"})
    assert [path.name for path in tmp_path.iterdir()] == ["result.mp4"]
    assert len(list(read_frames("result.mp4"))) == len(list(read_frames(EXAMPLES / "dance.mp4")))


def headings(text: str) -> set[str]:
    """The anchors that Markdown viewers make of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_table_of_floors():
    floors = build.read_floors()
    assert floors.pop("ground") and sorted(build.read_floors()["ground"]) == sorted(GROUND)
    assert [*floors] == sorted(floors, reverse=True)
    assert sorted(floors.pop(str(COMMAND_FLOOR))) == sorted(cli.COMMANDS)
    assert {room: int(floor) for floor, rooms in floors.items() for room in rooms} == FLOORS


def test_the_house_shows_the_table():
    assert (DOCS / "house.svg").read_text() == build.build_house(), "run `make docs`"


def test_files_named_in_the_architecture_exist():
    names = re.findall(r"`((?:\w+/)*\w+\.py)`", (DOCS / "architecture.md").read_text())
    assert len(names) > 20
    missing = [
        name for name in names if "my_" not in name and not any((root / name).exists() for root in (PACKAGE, ROOT))
    ]
    assert not missing


def test_names_of_the_source_in_the_architecture_are_there():
    names = set(re.findall(r"`(_?[A-Za-z]\w{3,})`", (DOCS / "architecture.md").read_text()))
    assert not [name for name in names if not re.search(rf"\b{name}\b", SOURCE)]
