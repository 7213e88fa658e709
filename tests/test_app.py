"""The command `app`: its arguments and their mistakes; tests/web/ has the page."""

import socket
import subprocess
import sys

import pytest

from motion_transformer_jax import app
from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.web import server
from motion_transformer_jax.web.uploads import UploadLimits


@pytest.fixture
def served(monkeypatch):
    calls = []
    monkeypatch.setattr(server, "serve", lambda checkpoints, **options: calls.append((checkpoints, options)))
    return calls


def test_defaults(served):
    assert run_command(app.main, []) == 0
    ((checkpoints, options),) = served
    assert checkpoints == ["puppets"]
    assert options == {
        "examples": EXAMPLES,
        "limits": UploadLimits(),
        "keep_minutes": 60,
        "host": "127.0.0.1",
        "port": 7860,
    }


def test_options_reach_the_server(served):
    options = ["--max-bytes", "10", "--max-pixels", "20", "--max-seconds", "2.5", "--keep-minutes", "0.5"]
    options += ["--host", "0.0.0.0", "--port", "80"]
    assert run_command(app.main, ["--checkpoint", "a", "b", *options, "--examples", "files"]) == 0
    ((checkpoints, options),) = served
    assert checkpoints == ["a", "b"]
    assert options["limits"] == UploadLimits(10, 20, 2.5)
    assert (options["keep_minutes"], options["host"], options["port"]) == (0.5, "0.0.0.0", 80)
    assert str(options["examples"]) == "files"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "a", "--max-bytes", "0"], "--max-bytes is 0; expected more than 0"),
        (["--checkpoint", "a", "--max-seconds", "nan"], "--max-seconds is nan; expected more than 0"),
        (["--checkpoint", "a", "--keep-minutes", "inf"], "--keep-minutes is inf"),
        (["--checkpoint", "a", "--port", "65536"], "expected a number from 1 to 65535, got '65536'"),
        (["--checkpoint", "a", "--share"], "--share"),
    ],
    ids=str,
)
def test_mistakes(served, capsys, options, message):
    assert run_command(app.main, options) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert served == []


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run_command(app.main, ["--checkpoint", "none", "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1, port {port} (" in capsys.readouterr().err


def test_an_address_of_another_machine(capsys):
    assert run_command(app.main, ["--checkpoint", "none", "--host", "192.0.2.1"]) == 2
    assert "cannot listen on 192.0.2.1" in capsys.readouterr().err


def test_without_gradio(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    assert run_command(app.main, ["--checkpoint", "none", "--port", port]) == 2
    assert "pip install '.[app]' in the clone" in capsys.readouterr().err


def test_help_is_light():
    code = (
        "import sys; from motion_transformer_jax import app, cli; "
        "status = None\n"
        "try: cli.run_command(app.main, ['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'gradio', 'jax', 'flax'} & set(sys.modules); assert not heavy, heavy"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
    for option in ("--checkpoint", "--examples", "--host", "--port", "--keep-minutes", "--max-seconds"):
        assert option in shown
