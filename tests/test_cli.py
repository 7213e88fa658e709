"""The command line: configs from flags, exit statuses, one line for every mistake."""

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from motion_transformer_jax import cli, configs
from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.errors import UserError

DEMO = f"{configs.__path__[0]}/demo.py"


def test_fields_are_overridden():
    config = cli.parse_config(
        f"{DEMO}:debug,depth4",
        [
            "--config.train.batch_size=32",
            "--config.train.num_steps",
            "7",
            "--config.optimizer.gamma=1",
            "--config.loss.scales=(1.0, 0.25)",
            "--config.generator.skips=false",
            "--noconfig.transformer.image_attends_to_motion",
            "--config.data.folder=/data/faces",
        ],
    )
    assert config.transformer.depth == 4 and config.model.image_size == 32
    assert (config.train.batch_size, config.train.num_steps) == (32, 7)
    assert config.optimizer.gamma == 1.0 and isinstance(config.optimizer.gamma, float)
    assert config.loss.scales == (1.0, 0.25)
    assert config.generator.skips is False and config.transformer.image_attends_to_motion is False
    assert config.data.folder == "/data/faces"
    assert config.is_locked


def test_configs_do_not_share_state():
    assert cli.parse_config(DEMO, ["--config.seed=5"]).seed == 5
    assert cli.parse_config(DEMO).seed == 0


@pytest.mark.parametrize(
    ("path", "overrides", "message"),
    [
        ("configs/none.py", [], r"no config file 'configs/none.py'; expected your own or one of demo.py, .* vox256.py"),
        (f"{DEMO}:huge", [], "unknown variant 'huge' of config 'demo'"),
        (DEMO, ["--config.train.batchsize=3"], r"field 'train.batchsize': no 'batchsize'; did you mean 'batch_size'"),
        (DEMO, ["--config.xyz=3"], r"unknown config field 'xyz': no 'xyz'; expected one of .*train"),
        (DEMO, ["--config.seed.more=3"], r"unknown config field 'seed.more': no 'more'"),
        (DEMO, ["--config.train.batch_size=many"], r"batch_size=many: invalid literal for int.*configs/base.py"),
        (DEMO, ["--config.train.batch_size=3.5"], r"batch_size=3.5: invalid literal for int"),
        (DEMO, ["--config.generator.skips=maybe"], r"skips=maybe: .*[Nn]on-boolean"),
        (DEMO, ["--config.loss.scales=1.0,,"], "loss.scales"),
        (DEMO, ["--config.seed"], "Missing value for flag --config.seed"),
        (DEMO, ["--config.train={'batch_size': 3}"], r"'train' is a group; set its fields one by one: .*batch_size"),
        (DEMO, ["--batch_size=3"], "unknown option '--batch_size'; config fields are set by --config.FIELD=VALUE"),
        (DEMO, ["extra"], "unexpected argument 'extra'"),
    ],
)
def test_mistakes_in_config_flags(path, overrides, message):
    with pytest.raises(UserError, match=message) as error:
        cli.parse_config(path, overrides)
    assert "\n" not in str(error.value)


def code(*lines):
    """A config file that changes the defaults."""
    start = [
        "from motion_transformer_jax.configs import base",
        "def get_config(variant):",
        "    config = base.get_config()",
    ]
    return "\n".join([*start, *(f"    {line}" for line in lines), "    return config", ""])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine\.py has no get_config\(variant\); write it like configs/folder\.py"),
        ("x = 1\ndef f(:\n", r"mine\.py, line 2: .*; a config file is Python"),
        ("\0", r"mine\.py.*null bytes"),
        ("x = 1\nimport no_such_module\n", r"mine\.py, line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def get_config():\n    pass\n", r"mine\.py: TypeError: get_config\(\) takes 0 positional"),
        ("def get_config(variant):\n    return 3\n", r"mine\.py: get_config returns a int; write it like"),
        (
            code("config.train.batchsize = 3"),
            r"mine\.py has an unknown field train\.batchsize; start from configs/base",
        ),
        (code("config.train.batch_size = 'x'"), r"mine\.py, line 4: TypeError: .*batch_size"),
        (code("del config.train.batch_size"), r"mine\.py lacks the field train\.batch_size"),
        (code("config.train = 3"), r"mine\.py"),
        (
            code("del config.seed", "config.seed = 'x'"),
            r"the field seed is a str; expected int, as in configs/base\.py",
        ),
    ],
)
def test_mistakes_in_config_files(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        cli.parse_config(str(tmp_path / "mine.py"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "argv",
    [["train"], ["ablate"], ["capacity"], ["convert", "from-torch"], ["prepare", "inspect"], ["benchmark", "data"]],
)
def test_that_configs_are_run_is_said(argv, capsys):
    with pytest.raises(SystemExit):
        cli.main([*argv, "--help"])
    assert "run as Python: name only files that you trust" in " ".join(capsys.readouterr().out.split())


def test_messages_cannot_steer_the_terminal(capsys):
    def command(argv):
        raise UserError("line 1: '\x1b[2J\x07\udcff\r\n'; ähem")

    assert cli.run_command(command, []) == 2
    assert capsys.readouterr().err == "error: line 1: '\\x1b[2J\\x07\\udcff '; ähem\n"


def test_mistakes_become_one_line_and_status_2(capsys):
    def command(argv):
        raise UserError(f"bad {argv[0]};\nuse another")

    assert cli.run_command(command, ["file"]) == 2
    assert capsys.readouterr() == ("", "error: bad file; use another\n")


def test_statuses():
    def interrupted(argv):
        raise KeyboardInterrupt

    def faulty(argv):
        raise ZeroDivisionError

    assert cli.run_command(lambda argv: None, []) == 0
    assert cli.run_command(lambda argv: 3, []) == 3
    assert cli.run_command(interrupted, []) == 130
    with pytest.raises(ZeroDivisionError):
        cli.run_command(faulty, [])


def test_termination_leaves_nothing_half_written(tmp_path):
    """The default would end the process on the spot."""

    def command(_argv):
        with atomic_path(tmp_path / "out.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with pytest.raises(SystemExit) as ended:
        run_command(command, [])
    assert ended.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_parser_mistakes_are_user_errors():
    parser = cli.Parser("demo")
    parser.add_argument("--out", required=True)
    with pytest.raises(UserError, match=r"required: --out; see motrans demo --help"):
        parser.parse_args([])
    with pytest.raises(UserError, match="--ou"):
        parser.parse_args(["--ou=x", "--out=y"])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_commands_exist(name):
    assert importlib.util.find_spec(f"motion_transformer_jax.{name}") is not None
    module = importlib.import_module(f"motion_transformer_jax.{name}")
    assert callable(module.main)


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for name, purpose in cli.COMMANDS.items():
        assert name in shown and purpose in shown


def test_commands_get_the_rest(monkeypatch):
    seen = []
    monkeypatch.setattr("motion_transformer_jax.train.main", seen.append)
    assert cli.main(["train", "--workdir", "--help"]) == 0
    assert seen == [["--workdir", "--help"]]


def test_listing_commands_imports_no_jax():
    code = "import sys, motion_transformer_jax.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_messages_of_libraries_are_quiet(capsys):
    code = (
        "import logging; from motion_transformer_jax.cli import set_up_logging; set_up_logging();"
        "logging.getLogger('orbax').info('chatter'); logging.getLogger('absl').info('chatter');"
        "log = logging.getLogger('motion_transformer_jax.x'); log.info('step 1'); log.warning('careful')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "step 1\nwarning: careful\n")
    assert logging.getLogger("motion_transformer_jax").level in (logging.INFO, logging.NOTSET)


def test_messages_are_plain_even_when_a_library_set_logging_up_first():
    code = (
        "import logging; logging.basicConfig(); from motion_transformer_jax.cli import set_up_logging; "
        "set_up_logging(); log = logging.getLogger('motion_transformer_jax.x'); log.info('told'); log.warning('minded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "told\nwarning: minded\n"


@pytest.mark.parametrize(
    "argv",
    [
        *([name] for name in cli.COMMANDS),
        ["prepare", "inspect"],
        ["benchmark", "data"],
        ["convert", "inspect"],
        ["evaluate", "study"],
        ["evaluate", "study", "tally"],
    ],
    ids=" ".join,
)
def test_every_command_helps(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*argv, "--help"])
    assert stop.value.code == 0
    assert f"usage: motrans {argv[0]}" in capsys.readouterr().out
