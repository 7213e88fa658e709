"""docs/scaling.md: its snippets print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
COUNTING, MODEL = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
[COUNTED] = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def printed(code):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"__name__": "snippet"})
    return out.getvalue()


def test_the_table_is_the_models():
    assert f"{MODEL}```\n\n{printed(MODEL)}\n" in TEXT


def test_the_model_takes_what_was_counted():
    for line in COUNTED.splitlines()[:3]:
        assert re.search(rf"^{re.escape(line)}\b", MODEL, re.MULTILINE), line


@pytest.mark.long
def test_the_counts_are_the_codes():
    assert printed(COUNTING) == COUNTED
