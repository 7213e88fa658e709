import errno
import os

import pytest

from motion_transformer_jax.atomic import atomic_folder, atomic_path
from motion_transformer_jax.errors import UserError


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    with atomic_folder(out) as folder:
        (folder / "a").write_text("1")
        assert not out.exists()
    assert (out / "a").read_text() == "1"
    with pytest.raises(ZeroDivisionError), atomic_folder(out) as folder:
        (folder / "a").write_text("2")
        raise ZeroDivisionError
    assert (out / "a").read_text() == "1"
    with atomic_folder(out) as folder:
        (folder / "b").write_text("3")
        assert (out / "a").exists()  # the old one stays until the new one is whole
    assert os.listdir(out) == ["b"] and os.listdir(tmp_path) == ["out"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a").exists()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_the_old_folder_comes_back_when_renaming_fails(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("1")
    rename, calls = os.rename, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_second)
    with pytest.raises(UserError, match=r"cannot write .*out \(Input/output error\)"), atomic_folder(out):
        pass
    assert (out / "a").read_text() == "1" and os.listdir(tmp_path) == ["out"]


def test_places_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"there is no folder .*none; create it first"),
        atomic_folder(tmp_path / "none/x"),
    ):
        pass
    with pytest.raises(UserError, match="file: it is a file"), atomic_folder(tmp_path / "file"):
        pass
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("lend", [atomic_path, atomic_folder])
def test_a_full_disk_is_told_in_one_line_and_other_errors_pass(tmp_path, lend):
    def fail(number):
        with lend(tmp_path / "x"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=r"cannot write .*/x \(No space left on device\); make room"):
        fail(errno.ENOSPC)
    with pytest.raises(OSError, match="Input/output"):
        fail(errno.EIO)
    assert not list(tmp_path.iterdir())
