"""The command `train`: arguments in, one call, mistakes out."""

import subprocess
import sys

import pytest

from motion_transformer_jax import configs, train
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.training import loop

DEMO = f"{configs.__path__[0]}/demo.py"


def test_makes_one_call(monkeypatch):
    calls = []
    monkeypatch.setattr(loop, "train_and_evaluate", lambda config, workdir: calls.append((config, workdir)) or "state")
    argv = ["--config", f"{DEMO}:debug", "--config.train.batch_size=32", "--workdir=runs/x", "--config.seed", "3"]
    assert run_command(train.main, argv) == 0
    ((config, workdir),) = calls
    assert (config.name, config.train.batch_size, config.seed, workdir) == ("demo-debug", 32, 3, "runs/x")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--config, --workdir"),
        (["--config", DEMO], "--workdir"),
        (["--config", "none.py", "--workdir", "{tmp}"], "no config file 'none.py'"),
        (["--config", f"{DEMO}:huge", "--workdir", "{tmp}"], "unknown variant 'huge'"),
        (["--config", DEMO, "--workdir", "{tmp}", "--config.train.batchsize=3"], "did you mean 'batch_size'"),
        (["--config", DEMO, "--workdir", "{tmp}", "--config.train.batch_size=x"], "invalid literal for int"),
        (["--config", DEMO, "--workdir", "{tmp}", "--steps=3"], "unknown option '--steps'"),
        (["--config", DEMO, "--workdir", "{tmp}", "--config.train.batch_size=12"], "12 is not divisible by the 8"),
        (["--config", DEMO, "--workdir", "{tmp}/file/run"], "cannot write into"),
        (["--config", DEMO, "--workdir", "{tmp}", "--config.data.kind=folder"], "data.folder is empty"),
        (["--config", f"{DEMO}:mraa_avd", "--workdir", "{tmp}/run"], "pass --config.train.init_from=RUN"),
        (["--config", DEMO, "--workdir", "{tmp}/run", "--config.train.init_from={tmp}/none"], "no folder train.init"),
    ],
)
def test_mistakes(argv, message, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run_command(train.main, [text.format(tmp=tmp_path) for text in argv]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert message in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.train"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "--workdir" in done.stdout and "--config.FIELD=VALUE" in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
