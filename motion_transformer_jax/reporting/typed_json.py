"""JSON from files as the dataclasses that it should be, with every value's type checked."""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from motion_transformer_jax.errors import UserError

_Kind = TypeVar("_Kind")
_NUMBERS = (int, float)


def read_json(path: Path, expected: str) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read as one; the message tells what was expected.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}); expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); expected {expected}") from error


def typed(kind: type[_Kind], value: Any) -> _Kind:
    """A JSON value as a dataclass, a list, a dict by texts, one or None, a text or a number.

    Raises:
        TypeError: it is something else, or a field is missing or unknown; the message says which.
    """
    if dataclasses.is_dataclass(kind):
        return _as_dataclass(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        (other,) = (part for part in arguments if part is not types.NoneType)
        return None if value is None else typed(other, value)
    if origin is list and isinstance(value, list):
        return [typed(arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {name: typed(arguments[1], item) for name, item in value.items()}
    if origin is None and isinstance(value, _NUMBERS if kind is float else kind) and not isinstance(value, bool):
        return value
    raise TypeError(f"{str(value)[:40]!r} where {getattr(kind, '__name__', kind)} is due")


def _as_dataclass(kind: type[_Kind], value: Any) -> _Kind:
    if not isinstance(value, dict):
        raise TypeError(f"{str(value)[:40]!r} where {kind.__name__} is due")
    hints = typing.get_type_hints(kind)
    if unknown := value.keys() - hints.keys():
        raise TypeError(f"unknown field {min(unknown)!r} of {kind.__name__}")
    fields = {}
    for name, item in value.items():
        try:
            fields[name] = typed(hints[name], item)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
    return kind(**fields)
