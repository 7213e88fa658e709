"""Files of tensors: formats, what is refused, and that nothing in them is run."""

import os
import pickle
import random
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.pth import SUFFIXES, read_state_dict, read_torch_file, write_torch_file

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

STATE_DICTS = {
    "generator": {"first.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3), "count": np.zeros((), np.int64)},
    "kp_detector": {"kp.bias": np.float32([np.nan, -0.0])},
    "bg_predictor": {},
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_torch_file(path, STATE_DICTS, {"epoch": 7, "note": "text"})
    file = read_torch_file(path)
    assert file.state_dicts.keys() == STATE_DICTS.keys()
    for module, tensors in STATE_DICTS.items():
        assert file.state_dicts[module].keys() == tensors.keys()
        for key, array in tensors.items():
            read = file.state_dicts[module][key]
            assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert file.others["note"] == "text"
    assert file.others.get("epoch") == (None if suffix == ".safetensors" else 7)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


def test_formats(tmp_path):
    """`.pth.tar` for PyTorch before 1.6 too; `.pth` as it is today; names with dots in `.safetensors`."""
    for suffix in SUFFIXES:
        write_torch_file(tmp_path / f"x{suffix}", STATE_DICTS, {})
    assert (tmp_path / "x.pth").read_bytes()[:2] == b"PK"
    assert (tmp_path / "x.pth.tar").read_bytes()[:2] != b"PK"
    for suffix in (".pth", ".pth.tar"):
        assert isinstance(torch.load(tmp_path / f"x{suffix}")["generator"]["first.weight"], torch.Tensor)
    assert set(safetensors_torch.load_file(tmp_path / "x.safetensors")) == {
        "generator.first.weight",
        "generator.count",
        "kp_detector.kp.bias",
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_official_files(tmp_path, zipped):
    """Optimisers are left out, parallel training's prefix too; `nn.Module`s save ordered dicts with metadata."""
    layer = torch.nn.BatchNorm2d(3)
    optimizer = torch.optim.Adam(layer.parameters())
    optimizer.zero_grad()
    layer(torch.ones(1, 3, 2, 2)).sum().backward()
    optimizer.step()
    content = {
        "generator": torch.nn.DataParallel(layer).state_dict(),
        "discriminator": layer.state_dict(),
        "optimizer_generator": optimizer.state_dict(),
        "epoch": 99,
        "names": ["a"],
    }
    torch.save(content, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=zipped)
    file = read_torch_file(tmp_path / "x.pth.tar")
    keys = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [list(tensors) for tensors in file.state_dicts.values()] == [keys, keys]
    assert file.others == {"optimizer_generator": "optimizer state", "epoch": 99, "names": "list"}


def test_other_precisions(tmp_path):
    tensors = {"a": torch.ones(2).bfloat16(), "b": torch.ones(2).half(), "c": torch.ones(2).double()}
    torch.save({"generator": tensors}, tmp_path / "x.pth")
    safetensors_torch.save_file(
        {f"generator.{key}": value for key, value in tensors.items()}, tmp_path / "x.safetensors"
    )
    for name in ("x.pth", "x.safetensors"):
        read = read_torch_file(tmp_path / name).state_dicts["generator"]
        assert [read[key].dtype for key in "abc"] == [jnp.bfloat16, np.float16, np.float64]
        assert all((array == 1).all() for array in read.values())


class Trap:
    """Its pickle runs a command that makes a file."""

    def __reduce__(self):
        return (os.system, ("touch trap-was-sprung",))


class OpeningTrap:
    def __reduce__(self):
        return (open, ("trap-was-sprung", "w"))


@pytest.mark.parametrize("trap", [Trap(), OpeningTrap()], ids=["command", "file"])
def test_code_in_the_file_is_not_executed(tmp_path, monkeypatch, trap):
    monkeypatch.chdir(tmp_path)
    contents = {"zip": {"generator": {"a": trap}}, "alone": trap, "beside": {"generator": {}, "epoch": trap}}
    for name, content in contents.items():
        torch.save(content, tmp_path / f"{name}.pth")
        torch.save(content, tmp_path / f"{name}.pth.tar", _use_new_zipfile_serialization=False)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            (tmp_path / f"{name}-{protocol}.pth").write_bytes(pickle.dumps(content, protocol=protocol))
    files = list(tmp_path.iterdir())
    assert len(files) > 20
    for file in files:
        with pytest.raises(UserError, match="expected tensors only, no pickled code") as error:
            read_torch_file(file)
        assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == sorted(files)  # nothing was made
    with pytest.raises(UserError, match=r"asks to run or to import (posix\.system|io\.open), which is refused"):
        read_torch_file(tmp_path / "zip.pth")


class Hoard:
    """Its pickle asks for a terabyte."""

    def __reduce__(self):
        return (bytearray, (2**40,))


def test_files_that_ask_for_far_more_memory_than_they_have(tmp_path):
    write_torch_file(tmp_path / "x.pth", {"generator": {"a": np.zeros(10**6, np.float32)}}, {})
    with zipfile.ZipFile(tmp_path / "x.pth") as whole, zipfile.ZipFile(tmp_path / "z.pth", "w", 8) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(UserError, match=r"z\.pth is compressed, as PyTorch's files never are"):
        read_torch_file(tmp_path / "z.pth")
    for zipped in (True, False):
        content = {"generator": {"a": torch.zeros(1).expand(10**11)}}
        torch.save(content, tmp_path / "e.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match="a claims 100,000,000,000 numbers, more than the file holds"):
            read_torch_file(tmp_path / "e.pth")
        torch.save({"generator": {}, "x": Hoard()}, tmp_path / "h.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match="asks for a bytearray, which is refused"):
            read_torch_file(tmp_path / "h.pth")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken", pickle.dumps({})])
def test_other_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="is not a readable"):
        read_torch_file(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_one_line(tmp_path, suffix):
    """Cut off anywhere, or with a few bytes changed: read, or refused in one line."""
    path = tmp_path / f"x{suffix}"
    write_torch_file(path, STATE_DICTS, {"epoch": 7})
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    cut = [whole[:size] for size in range(0, len(whole), len(whole) // 40)]
    changed = []
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 10])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        changed.append(bytes(damaged))
    for content in cut + changed:
        path.write_bytes(content)
        try:
            read_torch_file(path)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused >= len(cut)


def test_missing_and_nested_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_state_dict(tmp_path / "x.pth")
    torch.save({"generator": {"a": torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="not one state dict"):
        read_state_dict(tmp_path / "x.pth")
    torch.save([torch.zeros(1)], tmp_path / "x.pth")
    with pytest.raises(UserError, match="holds a list; expected state dicts"):
        read_torch_file(tmp_path / "x.pth")
    torch.save({"generator": {"a": torch.zeros(2, 2).to_sparse()}}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"a is of a kind that is not read \(torch.float32, torch.sparse_coo\)"):
        read_torch_file(tmp_path / "x.pth")


def test_one_state_dict_alone_or_wrapped(tmp_path):
    for content in ({"a": torch.ones(1)}, {"state_dict": {"a": torch.ones(1)}, "epoch": 3}):
        torch.save(content, tmp_path / "x.pth")
        np.testing.assert_array_equal(read_state_dict(tmp_path / "x.pth")["a"], [1])


@pytest.mark.parametrize(("library", "name"), [("torch", "x.pth"), ("safetensors", "x.safetensors")])
def test_missing_library_names_the_extra(tmp_path, monkeypatch, library, name):
    path = tmp_path / name
    write_torch_file(path, STATE_DICTS, {})
    monkeypatch.setitem(sys.modules, library, None)
    for call in (lambda: read_torch_file(path), lambda: write_torch_file(path, STATE_DICTS, {})):
        with pytest.raises(UserError, match=r"; pip install '\.\[torch\]' in the clone"):
            call()
    monkeypatch.undo()
    assert read_torch_file(path).state_dicts.keys() == STATE_DICTS.keys()  # as it was


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"x.ckpt has an unknown suffix; expected one of .pth, .pth.tar, .safetensors"):
        write_torch_file(tmp_path / "x.ckpt", STATE_DICTS, {})
    with pytest.raises(UserError, match="there is no folder"):
        write_torch_file(tmp_path / "none" / "x.pth", STATE_DICTS, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"x{suffix}"
    write_torch_file(path, STATE_DICTS, {})
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(UserError, match=r"cannot write .* \(No space left on device\)"):
        write_torch_file(path, STATE_DICTS, {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
