"""The report's folder: which names can be in it, and whether an earlier one may be replaced."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from motion_transformer_jax.atomic import system_errors
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.report import PAGE_FILE, VIDEOS_FILE
from motion_transformer_jax.reporting.results import METRICS_FILE, read_results

_OWN_FILES = (METRICS_FILE, VIDEOS_FILE, PAGE_FILE)
_LONGEST_NAME = 200  # bytes; file systems take 255, and an ending follows
_DIGEST = 16  # characters


def check_names(names: Sequence[str]) -> None:
    """Raises a UserError where a system's name cannot be a folder of the report, or is there twice."""
    for name in names:
        if not name or name.startswith(".") or "/" in name or "\\" in name or name != stem(name):
            raise UserError(f"'{name}' cannot name a system; give it a name that can be a folder's with --name")
        if name.lower() in _OWN_FILES:
            raise UserError(f"a system cannot be named '{name}', as a file of the report is; choose another --name")
    doubled = sorted({name for name in names if list(names).count(name) > 1})
    if doubled:
        raise UserError(f"two systems are named '{doubled[0]}'; give each a name of its own with --name")


def check_replaceable(out: str | os.PathLike) -> None:
    """Raises a UserError where a folder holds anything but an earlier report, all of which a new one replaces."""
    out = Path(out)
    if out.resolve() == Path.cwd():
        raise UserError("a report replaces its whole folder, and this is the one you stand in; name another with --out")
    with system_errors(out):
        there = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    if not there:
        return
    try:
        systems = {system.name for system in read_results(out).systems}
    except UserError as error:
        raise UserError(f"{out} is not empty and holds no earlier report; name another folder with --out") from error
    others = sorted(there - systems - {*_OWN_FILES})
    if others:
        raise UserError(
            f"{out} holds an earlier report and '{others[0]}', which is not of it and would be lost; "
            "move that away, or name another folder with --out"
        )


def stem(name: str) -> str:
    """A video's name as a file can have it, before its ending: long ones are cut, bytes that are no UTF-8 spelt out."""
    name = legible(name)
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name.encode()[: _LONGEST_NAME - _DIGEST - 1].decode(errors='ignore')}-{digest}"


def legible(name: str) -> str:
    """A file's name as text that can be written: bytes that are no UTF-8 become \\udcXX."""
    return name.encode("utf-8", "backslashreplace").decode()
