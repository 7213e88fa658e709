"""The command `motrans`, and what every command shares: arguments, configs, logging, errors and exit statuses.

`motrans NAME ...` is `python -m motion_transformer_jax.NAME ...`: both call `main(argv)` of that module. It returns an
exit status, or None for success.
"""

import argparse
import contextlib
import difflib
import importlib.machinery
import importlib.util
import logging
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

from motion_transformer_jax import configs
from motion_transformer_jax.configs import base
from motion_transformer_jax.errors import UserError

COMMANDS = {
    "train": "train a model on videos or on procedural puppets",
    "demo": "train a small model on puppets and animate a held-out one",
    "animate": "move the figure in an image as the one in a video moves",
    "app": "the same on a page in the browser, for whoever has no terminal",
    "convert": "read and write PyTorch checkpoints, and export models",
    "evaluate": "measure trained models, compare them, and write a report",
    "ablate": "train and evaluate variants of an experiment under one budget",
    "prepare": "make a training dataset of videos, and look at one",
    "benchmark": "measure speed, beside a reference in the same run",
    "capacity": "print the parameters and multiply-adds of the networks",
}

CONFIG_IS_RUN = "; it is run as Python: name only files that you trust"
_USAGE_ERROR = 2
_INTERRUPTED = 130
_TERMINATED = 143


class Parser(argparse.ArgumentParser):
    """An argparse parser whose mistakes are UserErrors: one line and no usage text. Options are never abbreviated."""

    def __init__(self, command: str, **kwargs):
        super().__init__(prog=f"motrans {command}".strip(), allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake as a UserError."""
        raise UserError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `motrans`; the console script. Returns the exit status."""
    return run_command(_dispatch, argv)


def run_command(command: Callable[[list[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main` and return its exit status.

    A UserError becomes one line on stderr and status 2; Ctrl-C becomes status 130; other exceptions pass. SIGTERM ends
    the command as an exception does, with status 143, so that nothing half-written is left.

    Args:
      command: takes the arguments behind the program's name.
      argv: those arguments; None for the process's own.
    """
    set_up_logging()
    try:
        with _orderly_termination():
            return command(list(sys.argv[1:] if argv is None else argv)) or 0
    except UserError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


@contextlib.contextmanager
def _orderly_termination() -> Iterator[None]:
    """Makes SIGTERM a SystemExit; where signals are another's affair, nothing changes."""
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def set_up_logging() -> None:
    """Send this package's messages to stderr, and of the libraries' only warnings."""
    logging.basicConfig(level=logging.WARNING)
    for handler in logging.root.handlers:
        if type(handler) is logging.StreamHandler:  # ours, or one that a library made when it was imported
            handler.setFormatter(_Formatter())
    logging.getLogger("motion_transformer_jax").setLevel(logging.INFO)
    # Of Orbax's failed writes; what failed is told in one line.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


def parse_config(path: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config of a file, with fields overridden, locked.

    The file is run as Python: it is the user's own code, and the only one of a command's inputs that is run at all.

    Args:
      path: a config file, with variants after a colon if wanted: "configs/taichi256.py:stem,depth4".
      overrides: arguments such as "--config.train.batch_size=32".

    Raises:
      UserError: no such file or variant, code that fails, an unknown field, a value of the wrong type, or another
        argument.
    """
    file, _, variant = path.partition(":")
    return override_config(_create_config(file, variant), overrides, origin=f"{file} and configs/base.py")


def override_config(config: ConfigDict, overrides: Sequence[str], *, origin: str = "configs/base.py") -> ConfigDict:
    """The config with fields overridden, locked.

    Args:
      config: an experiment's config.
      overrides: arguments such as "--config.train.batch_size=32".
      origin: where the fields and their types are found, for messages.

    Raises:
      UserError: an unknown field, a value of the wrong type, or another argument.
    """
    for argument in overrides:
        _check_field(config, argument)
    argv = ["", *overrides]
    values = flags.FlagValues()  # not absl's global ones, so that a process can load several configs
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(
            f"unknown option '--{error.flagname}'; config fields are set by --config.FIELD=VALUE"
        ) from error
    except flags.Error as error:
        raise UserError(f"{_one_line(error)}; see {origin} for the fields and their types") from error
    if rest:
        raise UserError(f"unexpected argument '{rest[0]}'; config fields are set by --config.FIELD=VALUE")
    return values.config


def checkpoint_step(text: str) -> int | str:
    """The type of the option --step: "best" or a number."""
    if text == "best":
        return text
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected best or a step's number, got '{text}'")
    return int(text)


def _create_config(file: str, variant: str) -> ConfigDict:
    if not Path(file).is_file():
        folder = Path(configs.__path__[0])
        names = ", ".join(sorted(p.name for p in folder.glob("[a-z]*.py") if p.stem not in ("base", "variants")))
        raise UserError(f"no config file '{file}'; expected your own or one of {names} in {folder}")
    spec = importlib.util.spec_from_loader("config", importlib.machinery.SourceFileLoader("config", file))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise UserError(f"{file} has no get_config(variant); write it like configs/folder.py")
        config = module.get_config(variant)
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"{file}, line {error.lineno}: {error.msg}; a config file is Python") from error
    except Exception as error:  # whatever the user's code raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise UserError(f"{where}: {type(error).__name__}: {_one_line(error)}; mend the config") from error
    _check_structure(file, config)
    return config


def _check_structure(file: str, config: object) -> None:
    """Raises a UserError where a file's config lacks fields of configs/base.py, or has others or of another type."""
    if not isinstance(config, ConfigDict):
        raise UserError(f"{file}: get_config returns a {type(config).__name__}; write it like configs/folder.py")
    expected, found = _field_types(base.get_config()), _field_types(config)
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected or name not in found:
            problem = "has an unknown field" if name not in expected else "lacks the field"
            raise UserError(f"{file} {problem} {name}; start from configs/base.py and change its fields alone")
        if found[name] is not expected[name] and (found[name], expected[name]) != (int, float):
            types = f"a {found[name].__name__}; expected {expected[name].__name__}"
            raise UserError(f"{file}: the field {name} is {types}, as in configs/base.py")


def _field_types(config: ConfigDict) -> dict[str, type]:
    types = {}
    for name, value in config.items():
        inner = _field_types(value) if isinstance(value, ConfigDict) else None
        types |= {name: type(value)} if inner is None else {f"{name}.{key}": kind for key, kind in inner.items()}
    return types


def _check_field(config: ConfigDict, argument: str) -> None:
    """Raise a UserError when an argument sets a field that the config lacks, or a whole group of fields at once."""
    match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
    if not match:
        return
    group = config
    for name in match[1].split("."):
        if not isinstance(group, ConfigDict) or name not in group:
            names = list(group) if isinstance(group, ConfigDict) else []
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{close[0]}'" if close else f"expected one of {', '.join(names) or 'none below it'}"
            raise UserError(f"unknown config field '{match[1]}': no '{name}'; {hint}")
        group = group[name]
    if isinstance(group, ConfigDict):
        raise UserError(f"config field '{match[1]}' is a group; set its fields one by one: {', '.join(group)}")


def _printable(text: str) -> str:
    """One line that a terminal shows and does not obey: messages repeat what stands in files."""
    characters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    return "".join(characters)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _dispatch(argv: list[str]) -> int | None:
    listed = "\n".join(f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items())
    parser = Parser(
        "",
        description="Animate an image by a video, and train the models that do.",
        epilog=f"commands:\n{listed}\n\n`motrans COMMAND --help` tells a command's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="motrans COMMAND ...",
    )
    parser.add_argument("command", metavar="COMMAND", help="one of those below")
    command = parser.parse_args(argv[:1]).command
    if command not in COMMANDS:
        parser.error(f"unknown command '{command}'; expected one of {', '.join(COMMANDS)}")
    return importlib.import_module(f"motion_transformer_jax.{command}").main(argv[1:])
