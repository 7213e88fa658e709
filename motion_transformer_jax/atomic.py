"""Files and folders that appear whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from motion_transformer_jax.errors import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Lends a temporary path beside `path`, with the same ending, and renames it to `path` when the body succeeds.

    Raises:
        UserError: The folder is missing or cannot be written to, or the system refuses (no space, a folder in the way).
    """
    path = Path(path)
    if not os.path.isdir(path.parent):
        raise UserError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    if os.path.isdir(path):
        raise UserError(f"cannot write {path}: it is a folder; choose another name")
    temporary = path.parent / f".{secrets.token_hex(6)}{path.suffix}"
    try:
        with system_errors(path):
            temporary.touch(exist_ok=False)
        with _full_disk(path):
            yield temporary
        with system_errors(path):
            os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Lends a new folder beside `path` and renames it to `path` when the body succeeds; an older one goes only then.

    Raises:
        UserError: The parent folder is missing or cannot be written to, or there is a file of that name.
    """
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    if path.is_file():
        raise UserError(f"cannot write {path}: it is a file; choose another name")
    temporary, old = (path.parent / f".{secrets.token_hex(6)}" for _ in range(2))
    try:
        with system_errors(path):
            temporary.mkdir()
        with _full_disk(path):
            yield temporary
        with system_errors(path):
            if path.exists():
                os.rename(path, old)
            try:
                os.rename(temporary, path)
            except BaseException:  # an interruption too
                if old.exists():
                    os.rename(old, path)
                raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_target(path: str | Path, *, overwrite: bool, what: str, own: Sequence[str]) -> None:
    """Refuses a folder to be made that holds anything but what an earlier call left.

    Args:
        path: The folder; one that is missing or empty will do.
        overwrite: Whether an earlier result may be replaced.
        what: An earlier result, in words.
        own: Patterns of the files' names in it, as of `fnmatch`; the first must be there.

    Raises:
        UserError: There is something that may not be replaced.
    """
    path = Path(path)
    there = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
    if not path.exists() or (path.is_dir() and not there):
        return
    if not overwrite:
        raise UserError(f"{path} exists; pass --overwrite to replace it, or choose another folder")
    foreign = [name for name in there if not any(fnmatch(name, pattern) for pattern in own)]
    if foreign or own[0] not in there:
        raise UserError(
            f"{path} holds something else than {what} ({(foreign or there or ['a file'])[0]}), which would be lost; "
            "choose another folder"
        )


@contextmanager
def system_errors(path: str | Path) -> Iterator[None]:
    """Turns the system's refusals inside the body into a UserError that names the path."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); check the folder's permissions and space"
        ) from error


@contextmanager
def _full_disk(path: Path) -> Iterator[None]:
    """Turns a lack of space inside the body, which may read other files too, into a UserError that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"cannot write {path} ({error.strerror}); make room") from error
