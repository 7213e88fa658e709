import os

import numpy as np
import pytest

from motion_transformer_jax.data.frame_cache import find_entry, write_entry
from motion_transformer_jax.errors import UserError

SIZE = 4


def frames(count, value=0):
    return [np.full((SIZE, SIZE, 3), value + t, np.uint8) for t in range(count)]


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "id#[1].mp4"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def test_frames_come_back(video, cache):
    entry = write_entry(video, iter(frames(12)), cache, SIZE)
    assert entry == find_entry(video, [cache / "missing", cache], SIZE)
    assert entry.num_frames == 12
    assert [entry.frame(t).flat[0] for t in (0, 7, 11)] == [0, 7, 11]
    assert entry.frame(3).shape == (SIZE, SIZE, 3) and entry.frame(3).dtype == np.uint8
    np.testing.assert_array_equal(np.load(entry.path), np.stack(frames(12)))
    for t in (-1, 12):
        with pytest.raises(IndexError, match=f"frame {t} of"):
            entry.frame(t)


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), lambda path: os.utime(path, ns=(1, 1))])
def test_a_changed_video_is_missed_and_its_old_entry_replaced(video, cache, change):
    write_entry(video, frames(2), cache, SIZE)
    other = video.with_name("id#1.mp4")  # would match the name above if its brackets were a pattern
    other.write_bytes(b"one")
    write_entry(other, frames(2), cache, SIZE)
    change(video)
    assert find_entry(video, [cache], SIZE) is None
    entry = write_entry(video, frames(3, 50), cache, SIZE)
    assert entry.num_frames == 3 and entry.frame(0).flat[0] == 50
    assert len(list(cache.iterdir())) == 2
    assert find_entry(other, [cache], SIZE) is not None


def test_a_folder_of_frames_changes_with_its_files(tmp_path, cache):
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "0.png").write_bytes(b"a")
    write_entry(folder, frames(2), cache, SIZE)
    assert find_entry(folder, [cache], SIZE) is not None
    (folder / "1.png").write_bytes(b"b")
    assert find_entry(folder, [cache], SIZE) is None


def test_damaged_and_foreign_entries_are_missed(video, cache):
    path = write_entry(video, frames(3), cache, SIZE).path
    assert find_entry(video, [cache], SIZE + 1) is None
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:40], b"", b"nonsense"):
        path.write_bytes(content)
        assert find_entry(video, [cache], SIZE) is None


def test_nothing_is_left_of_a_failure(video, cache):
    def broken():
        yield from frames(3)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_entry(video, broken(), cache, SIZE)
    with pytest.raises(UserError, match=r"has 1 frame\(s\); expected two"):
        write_entry(video, frames(1), cache, SIZE)
    with pytest.raises(ValueError, match="expected uint8 of side 5"):
        write_entry(video, frames(2), cache, SIZE + 1)
    assert list(cache.iterdir()) == []


def test_long_names_fit_the_file_system(tmp_path, cache):
    paths = [tmp_path / ("ü" * 120 + end) for end in ("a.mp4", "b.mp4")]
    for count, path in enumerate(paths, 2):
        path.write_bytes(b"x")
        write_entry(path, frames(count), cache, SIZE)
    assert [find_entry(path, [cache], SIZE).num_frames for path in paths] == [2, 3]
