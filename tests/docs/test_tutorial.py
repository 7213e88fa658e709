"""docs/tutorial.ipynb runs from top to bottom, and is committed without what it shows."""

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient
from repository import DOCS

from motion_transformer_jax.data.video import read_frames

PATH = DOCS / "tutorial.ipynb"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_committed_without_outputs():
    cells = code_cells(nbformat.read(PATH, nbformat.NO_CONVERT))
    assert len(cells) > 10
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert PATH.stat().st_size < 300_000


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the kernel's client, which are none of ours
def test_it_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("TUTORIAL_STEPS", "2")
    monkeypatch.setenv("TUTORIAL_VARIANT", "debug")
    monkeypatch.setenv("TUTORIAL_MODEL", "tutorial/run")  # the package's would take minutes
    one_device = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    monkeypatch.setenv("XLA_FLAGS", one_device)  # a training step of eight takes longer to compile
    notebook = nbformat.read(PATH, nbformat.NO_CONVERT)
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    text = "".join(output.get("text", "") for output in outputs)
    assert len(pictures) == 4
    assert re.search(r"step +2: train/loss/total \d", text)
    assert "tensors; the same frames: True" in text
    assert len(list(read_frames(tmp_path / "tutorial" / "animation.mp4"))) == 16
    assert (tmp_path / "tutorial" / "portable" / "manifest.json").is_file()
