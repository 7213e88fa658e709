import os
import time

import pytest

from motion_transformer_jax.web.cleanup import cleaning, cleaning_period, delete_broken_uploads


@pytest.fixture
def folder(tmp_path):
    """An old and a new broken upload, and a whole one, which is old."""
    (tmp_path / "whole").mkdir()
    long_ago = time.time() - 100
    for name in ("old", "new", "whole/me.png"):
        (tmp_path / name).write_bytes(b"some")
        if name != "new":
            os.utime(tmp_path / name, (long_ago, long_ago))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_only_broken_uploads_that_are_old_go(folder):
    delete_broken_uploads(folder, 1000)
    assert names(folder) == ["me.png", "new", "old"]
    delete_broken_uploads(folder, 50)
    assert names(folder) == ["me.png", "new"]


def test_they_go_while_the_server_runs(folder):
    with cleaning(folder, 1.0):
        end = time.monotonic() + 30
        while names(folder) != ["me.png"] and time.monotonic() < end:
            time.sleep(0.05)
        assert names(folder) == ["me.png"]


def test_a_look_is_taken_often_enough():
    assert [cleaning_period(secs) for secs in (0.1, 12, 3600)] == [1, 12, 300]
