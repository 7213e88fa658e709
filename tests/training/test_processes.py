import pytest

from motion_transformer_jax.cli import run_command
from motion_transformer_jax.train import main

TRAIN = ("--config", "configs/demo.py:debug", "--workdir", "unused")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--coordinator", "127.0.0.1:1"), "missing --num-processes and --process-id; expected all three"),
        (("--process-id", "0", "--num-processes", "2"), "missing --coordinator"),
        (
            ("--coordinator", "127.0.0.1:1", "--num-processes", "2", "--process-id", "2"),
            "--process-id is 2; expected 0 to 1",
        ),
        (("--coordinator", "127.0.0.1:1", "--num-processes", "0", "--process-id", "0"), "expected 1 or more"),
    ],
)
def test_mistakes_are_one_line(options, message, capsys, monkeypatch):
    assert run_command(main, [*TRAIN, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
