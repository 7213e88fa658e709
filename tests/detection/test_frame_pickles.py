"""DataFrames out of pickles of many versions, and pickles that ask for more than that."""

import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pandas
import pytest

from motion_transformer_jax.detection.frame_pickles import read_data_frame
from motion_transformer_jax.errors import UserError

PICKLES = Path(__file__).parent.parent / "golden" / "pose_pickles"


def value(row):
    """What the golden pickles hold in a row; written by a script of five lines with each pandas."""
    return 10 * row + np.arange(8, dtype=np.float32).reshape(4, 2) / 2


def make_table():
    return pandas.DataFrame(
        {"file_name": ["b.mp4", "a.1.mp4", "a.1.mp4"], "frame_number": [0, 1, 0], "value": [value(0), None, value(2)]}
    )


def check_table(columns):
    assert columns["file_name"] == ["b.mp4", "a.1.mp4", "a.1.mp4"]
    assert columns["frame_number"] == [0, 1, 0]
    assert columns["value"][1] is None
    for row in (0, 2):
        np.testing.assert_array_equal(columns["value"][row], value(row))
        columns["value"][row][:] = 0  # may be written to


@pytest.mark.parametrize("path", sorted(PICKLES.iterdir()), ids=lambda path: path.stem)
def test_pickles_of_older_pandas(path):
    check_table(read_data_frame(path))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("storage", ["auto", "python"])
def test_pickles_of_this_pandas(tmp_path, storage, protocol):
    with pandas.option_context("mode.string_storage", storage):
        make_table().to_pickle(tmp_path / "table.pkl", protocol=protocol)
    check_table(read_data_frame(tmp_path / "table.pkl"))


def test_tables_that_were_worked_on(tmp_path):
    table = pandas.concat([make_table(), make_table()]).sort_values(by=["frame_number"], kind="stable").iloc[1:4]
    table.to_pickle(tmp_path / "table.pkl")
    columns = read_data_frame(tmp_path / "table.pkl")
    assert columns["file_name"] == ["a.1.mp4", "b.mp4", "a.1.mp4"]
    assert columns["frame_number"] == [0, 0, 0]
    np.testing.assert_array_equal(columns["value"][1], value(0))


def test_columns_of_one_type_and_odd_values(tmp_path):
    table = pandas.DataFrame({"x": [1.5, np.nan], "y": [2.5, 3.5], "z": [None, "ä"], "scalar": [np.float32(0.5), 7]})
    table["scalar"] = table["scalar"].astype(object)
    table["big_endian"] = pandas.Series([np.array([1, 2], ">i2"), np.array([[True]], order="F")], dtype=object)
    table.to_pickle(tmp_path / "table.pkl")
    columns = read_data_frame(tmp_path / "table.pkl")
    assert columns["y"] == [2.5, 3.5]
    assert columns["x"][0] == 1.5
    assert columns["z"] == [None, "ä"]
    assert columns["scalar"] == [0.5, 7]
    assert columns["big_endian"][0].tolist() == [1, 2]
    assert columns["big_endian"][1].tolist() == [[True]]


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


STOP = b"."
ATTACKS = {
    "os.system, as pickled": (pickle.dumps(Call(os.system, "touch MARK"), 2), f"{os.system.__module__}.system"),
    "eval": (pickle.dumps(Call(eval, "open('MARK', 'w')"), 4), "builtins.eval"),
    "GLOBAL": (b"cos\nsystem\nX\x0a\x00\x00\x00touch MARK\x85R.", "os.system"),
    "INST": (b"(X\x0a\x00\x00\x00touch MARKios\nsystem\n.", "os.system"),
    "a dotted name": (
        b"\x80\x04" + short("pandas") + short("io.common.os.system") + b"\x93" + short("touch MARK") + b"\x85R" + STOP,
        "pandas.io.common.os.system",
    ),
    "attributes of what is allowed": (
        b"\x80\x04" + short("numpy") + short("ndarray.__class__") + b"\x93" + STOP,
        "numpy.ndarray.__class__",
    ),
    "attributes of classes": (
        b"\x80\x04" + short("builtins") + short("slice.__class__.__base__.__subclasses__") + b"\x93" + STOP,
        "builtins.slice.__class__.__base__.__subclasses__",
    ),
    "getattr": (pickle.dumps(Call(getattr, slice, "mro"), 4), "builtins.getattr"),
    "an allowed name of another module": (b"\x80\x04" + short("os") + short("slice") + b"\x93" + STOP, "os.slice"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_pickle_asks_for_is_named_and_refused(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    content, name = ATTACKS[attack]
    path = tmp_path / "attack.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"attack.pkl asks for {name.replace('.', '[.]')}, which is refused; expected"):
        read_data_frame(path)
    assert not (tmp_path / "MARK").exists()


def test_the_attacks_work_where_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(ATTACKS["a dotted name"][0])
    assert (tmp_path / "MARK").exists()


def test_states_cannot_change_what_stands_for_classes(tmp_path):
    """BUILD on a class would set its attributes for all pickles to come."""
    path = tmp_path / "build.pkl"
    slots = b"N}" + short("args") + b"K\x01s\x86"
    path.write_bytes(b"\x80\x04" + short("pandas") + short("DataFrame") + b"\x93" + slots + b"b" + STOP)
    with pytest.raises(UserError, match="not the pickle of a DataFrame, or is damaged"):
        read_data_frame(path)
    make_table().to_pickle(path)
    check_table(read_data_frame(path))


@pytest.mark.parametrize("content", [[1, 2], {"_mgr": 1}, None, "text", np.arange(3)], ids=str)
def test_other_pickles(tmp_path, content):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"other.pkl .*; expected"):
        read_data_frame(path)


def test_tables_of_other_things(tmp_path):
    path = tmp_path / "other.pkl"
    pandas.DataFrame({"value": [[1, 2], [3]]}).to_pickle(path)
    with pytest.raises(UserError, match="holds a list as a value"):
        read_data_frame(path)
    pandas.DataFrame({"value": [1j]}).to_pickle(path)
    with pytest.raises(UserError, match="holds an array of type 'c16'"):
        read_data_frame(path)
    pandas.DataFrame({"value": pandas.to_datetime(["2020-01-01"])}).to_pickle(path)
    with pytest.raises(UserError, match=r"asks for pandas.*, which is refused"):
        read_data_frame(path)


def test_damaged_files(tmp_path):
    """Any byte may be wrong, and any part missing: what comes is a table or one line."""
    path = tmp_path / "damaged.pkl"
    content = (PICKLES / "pandas-0.23.4-protocol-4.pkl").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content[: random.integers(0, len(content))] if random.random() < 0.2 else content)
        for place in random.integers(0, max(len(damaged), 1), 3):
            damaged[place : place + 1] = random.bytes(1)
        path.write_bytes(damaged)
        try:
            read_data_frame(path)
        except UserError as error:
            assert str(error).isprintable()
            refused += 1
    assert refused > 150


@pytest.mark.parametrize(
    "opcodes", [b"r\xff\xff\xff\xff", b"\x96" + (1 << 40).to_bytes(8, "little")], ids=["memo", "bytes"]
)
def test_sizes_out_of_proportion_reserve_no_memory(tmp_path, opcodes):
    path = tmp_path / "large.pkl"
    path.write_bytes(b"\x80\x05]" + opcodes + STOP)
    tracemalloc.start()
    with pytest.raises(UserError, match="or is damaged"):
        read_data_frame(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_one_array_named_a_million_times(tmp_path):
    """Each row would be a copy: a small file, and a table of terabytes."""
    array = np.zeros(10**6, np.float32)
    table = pandas.DataFrame({"file_name": ["a"] * 10**4, "value": pandas.Series([array] * 10**4, dtype=object)})
    table.to_pickle(tmp_path / "large.pkl")
    assert (tmp_path / "large.pkl").stat().st_size < 5 * 10**6
    tracemalloc.start()
    with pytest.raises(UserError, match="or is damaged"):
        read_data_frame(tmp_path / "large.pkl")
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.pkl \(No such file"):
        read_data_frame(tmp_path / "none.pkl")
