import pickle

import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.pth import read_state_dict

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("zipped", [True, False])
def test_both_file_formats(tmp_path, zipped):
    tensor = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": tensor}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(read_state_dict(tmp_path / "x.pth")["a"], tensor.numpy())


class Trap:
    def __reduce__(self):
        return (open, ("trap-was-sprung", "w"))


def test_code_in_the_file_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"a": Trap()}))
    with pytest.raises(UserError, match="no pickled code"):
        read_state_dict(tmp_path / "x.pth")
    torch.save({"a": Trap()}, tmp_path / "y.pth")
    with pytest.raises(UserError, match="no pickled code"):
        read_state_dict(tmp_path / "y.pth")
    assert not (tmp_path / "trap-was-sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(UserError, match="not a readable PyTorch state dict"):
        read_state_dict(tmp_path / "x.pth")


def test_missing_and_nested_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_state_dict(tmp_path / "x.pth")
    torch.save({"generator": {"a": torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="more than one state dict"):
        read_state_dict(tmp_path / "x.pth")
