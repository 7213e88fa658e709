"""pandas DataFrames out of pickles, without pandas and without running what a pickle asks for.

A pickle is a program that calls functions by their names. Here each name that pandas, NumPy and PyArrow write for a
DataFrame of numbers, texts and arrays stands for a `_Note` that only remembers its arguments; every other name is
refused. What the notes say is then read as data. This covers pandas 0.20 to 3, and pickle protocols 2 to 5.
"""

import io
import itertools
import math
import pickle
import pickletools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from motion_transformer_jax.errors import UserError

_LONGEST_NAME = 200  # that is repeated in a message
_MOST_REPEATS = 16  # of a pickle's bytes in the table: it may name one array many times
_NATIVE_ORDER = "|="  # in a pickled dtype; "<" and ">" say which other one


class _Note:
    """A call that a pickle asked for: its arguments, and the state it set afterwards."""

    __slots__ = ("args", "state")

    def __new__(cls, *args):
        note = object.__new__(cls)
        note.args, note.state = args, None
        return note

    def __setstate__(self, state):
        self.state = state


# One class a meaning. None has an attribute that a pickle could set: BUILD ends in __setstate__, also on a class.
class _Array(_Note):
    __slots__ = ()


class _Buffer(_Note):
    __slots__ = ()


class _Scalar(_Note):
    __slots__ = ()


class _Dtype(_Note):
    __slots__ = ()


class _Bytes(_Note):
    __slots__ = ()


class _Slice(_Note):
    __slots__ = ()


class _Block(_Note):
    __slots__ = ()


class _Index(_Note):
    __slots__ = ()


class _Manager(_Note):
    __slots__ = ()


class _Frame(_Note):
    __slots__ = ()


class _ArrowStrings(_Note):
    __slots__ = ()


class _ArrowArray(_Note):
    __slots__ = ()


class _ArrowChunks(_Note):
    __slots__ = ()


class _Strings(_Note):
    __slots__ = ()


class _Inert(_Note):
    """What stands in arguments and says nothing that is needed."""

    __slots__ = ()


_NUMPY = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Inert,
}
_PANDAS = {
    ("pandas", "DataFrame"): _Frame,
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals", "BlockManager"): _Manager,
    ("pandas.core.internals.managers", "BlockManager"): _Manager,
    ("pandas._libs.internals", "_unpickle_block"): _Block,
    ("pandas.core.indexes.base", "_new_Index"): _Index,
    **{("pandas", name): _Inert for name in ("Index", "RangeIndex", "StringDtype")},
    ("pandas.core.indexes.base", "Index"): _Inert,
    ("pandas.core.indexes.range", "RangeIndex"): _Inert,
    ("pandas.core.indexes.numeric", "Int64Index"): _Inert,
    ("pandas.core.arrays.string_", "StringDtype"): _Inert,
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): _Strings,
    ("pandas.arrays", "StringArray"): _Inert,
    ("pandas.arrays", "ArrowStringArray"): _ArrowStrings,
    ("pyarrow.lib", "_restore_array"): _ArrowArray,
    ("pyarrow.lib", "chunked_array"): _ArrowChunks,
    ("pyarrow.lib", "type_for_alias"): _Inert,
    ("pyarrow.lib", "py_buffer"): _Bytes,
}
_BUILTINS = ("builtins", "__builtin__")  # the second in protocol 2
_PYTHON = {
    **{(module, "slice"): _Slice for module in _BUILTINS},
    **{(module, name): _Bytes for module in _BUILTINS for name in ("bytes", "bytearray")},
    ("_codecs", "encode"): _Bytes,  # how protocol 2 writes bytes
}
_ALLOWED = {**_NUMPY, **_PANDAS, **_PYTHON}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Note]:
        if (module, name) not in _ALLOWED:
            asked = f"{module}.{name}"[:_LONGEST_NAME]
            raise UserError(f"asks for {asked if asked.isprintable() else ascii(asked)}, which is refused")
        return _ALLOWED[module, name]


def read_data_frame(path: str | Path) -> dict[str, list[Any]]:
    """The columns of a DataFrame that `DataFrame.to_pickle` wrote, uncompressed.

    Returns:
        Name of each column -> its values: numbers, texts, None, and NumPy arrays, which share no memory with anything.

    Raises:
        UserError: there is no such file, it is damaged, holds something else, or asks for anything to be run.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); expected a pickle of pose-evaluation") from error
    try:
        _check_sizes(content)
        return _columns(_Unpickler(io.BytesIO(content)).load(), _Budget(_MOST_REPEATS * len(content)))
    except UserError as error:
        raise UserError(f"{path} {error}; expected the pickle of a DataFrame with arrays and nothing else") from None
    except Exception as error:  # damaged pickles raise nearly everything
        raise UserError(
            f"{path} is not the pickle of a DataFrame, or is damaged ({type(error).__name__}); "
            "expected what extract.py of pose-evaluation writes, uncompressed"
        ) from error


def _check_sizes(content: bytes) -> None:
    """Refuse what the unpickler would reserve more memory for than the file has bytes."""
    for opcode, argument, _ in pickletools.genops(content):  # raises where a length goes beyond the end
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(content):
            raise ValueError("far more places in the memo than objects")


class _Budget:
    """How much more a table may hold: pickles can name one thing any number of times."""

    def __init__(self, num_bytes: int):
        self._left = num_bytes

    def take(self, num_bytes: int):
        self._left -= num_bytes
        if self._left < 0:
            raise ValueError("far more values than bytes")


def _columns(frame: _Frame, budget: _Budget) -> dict[str, list[Any]]:
    state = _of(frame, _Frame).state
    manager = _of(state.get("_mgr", state.get("_data")), _Manager)
    if manager.args:  # pandas 1.3 and newer
        blocks, axes = manager.args
        blocks = [_of(block, _Block).args[:2] for block in blocks]
    else:
        state = manager.state[3]["0.14.1"]  # the version that the layout is of, to this day
        blocks, axes = [(block["values"], block["mgr_locs"]) for block in state["blocks"]], state["axes"]
    names = _values(_of(axes[0], _Index).args[1]["data"], budget)
    columns: dict[str, list[Any]] = {}
    for values, places in blocks:
        values = _values(values, budget)
        rows = values if isinstance(values, np.ndarray) and values.ndim == 2 else [values]
        for place, row in zip(_places(places, len(names), budget), rows, strict=True):
            budget.take(len(row))
            items = row.tolist() if isinstance(row, np.ndarray) else row
            columns[names[place]] = [_value(item, budget) for item in items]
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("columns of unequal length")
    return columns


def _of(note: Any, kind: type[_Note]) -> _Note:
    if type(note) is not kind:
        raise UserError(f"holds a {type(note).__name__.strip('_')} where a {kind.__name__.strip('_')} is due")
    return note


def _value(value: Any, budget: _Budget) -> Any:
    if isinstance(value, (_Array, _Buffer)):
        return _values(value, budget)
    if isinstance(value, _Scalar):
        return np.frombuffer(_bytes(value.args[1]), _dtype(value.args[0]), 1)[0].item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(f"holds a {type(value).__name__.strip('_')} as a value")


def _values(note: Any, budget: _Budget) -> np.ndarray | list[Any]:
    """An array, or a list of texts."""
    if isinstance(note, _ArrowStrings):
        return _arrow_strings(note.state["_pa_array"], budget)
    if isinstance(note, _Strings):
        return _values(next(part for part in note.state if isinstance(part, (_Array, _Buffer))), budget).tolist()
    if isinstance(note, _Buffer):
        data, dtype, shape, order = note.args
    else:
        _, shape, dtype, is_fortran, data = _of(note, _Array).state
        order = "F" if is_fortran else "C"
    dtype = _dtype(dtype)
    if dtype.hasobject:
        return _objects(data, shape, order)
    data = _bytes(data)
    budget.take(len(data))
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy()


def _objects(items: list[Any], shape: tuple[int, ...], order: str) -> np.ndarray:
    if type(items) is not list or len(items) != math.prod(shape):
        raise ValueError("wrong number of objects")
    array = np.empty(len(items), object)
    for index, item in enumerate(items):  # at once, NumPy would look into the items
        array[index] = item
    return array.reshape(shape, order=order)


def _dtype(note: Any) -> np.dtype:
    """Numbers, truth values and objects; made from its letters alone, since a pickled state could say anything."""
    code, order = _of(note, _Dtype).args[0], note.state[1] if note.state else "="
    if not re.fullmatch(r"O8?|b1|[iu][1248]|f[248]", code):
        raise UserError(f"holds an array of type {code!r}")
    if code.startswith("O"):
        return np.dtype(object)
    return np.dtype(code).newbyteorder("=" if order in _NATIVE_ORDER else order)


def _bytes(data: Any) -> bytes:
    while isinstance(data, _Bytes):
        data = data.args[0] if data.args else b""
    if isinstance(data, str):  # protocol 2 has no bytes
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError("no bytes")
    return bytes(data)


def _places(note: Any, num_columns: int, budget: _Budget) -> Iterable[int]:
    if isinstance(note, _Slice):
        return range(*slice(*note.args).indices(num_columns))
    return _values(note, budget).tolist()


def _arrow_strings(note: Any, budget: _Budget) -> list[str | None]:
    """Texts of an Arrow array: offsets into one buffer of UTF-8, and bits that tell which are there."""
    if isinstance(note, _ArrowChunks):
        return [text for chunk in note.args[0] for text in _arrow_strings(_of(chunk, _ArrowArray), budget)]
    kind, length, _, start, (valid, offsets, data), *_ = _of(note, _ArrowArray).args[0]
    width = {"large_string": "<i8", "string": "<i4"}[_of(kind, _Inert).args[0]]
    offsets = np.frombuffer(_bytes(offsets), width)[start : start + length + 1]
    if len(offsets) != length + 1 or (np.diff(offsets) < 0).any():
        raise ValueError("texts out of order")
    texts = _bytes(data)
    budget.take(length + len(texts))
    there = np.unpackbits(np.frombuffer(_bytes(valid), np.uint8), bitorder="little")[start:] if valid else None
    return [
        texts[first:last].decode() if there is None or there[index] else None
        for index, (first, last) in enumerate(itertools.pairwise(offsets.tolist()))
    ]
