import io
import logging

import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data import folder_videos
from motion_transformer_jax.data.folder_videos import FolderVideos
from motion_transformer_jax.errors import UserError

SIZE = 16


def write_clip(path, values):
    """A folder of plain frames with the given grey values."""
    path.mkdir(parents=True)
    for t, value in enumerate(values):
        Image.new("RGB", (20, 20), (value,) * 3).save(path / f"{t}.png")


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path / "videos/train/a#1", [10, 20, 30])
    write_clip(tmp_path / "videos/train/b#1", [40, 50])
    write_clip(tmp_path / "videos/test/c#1", [60, 70])
    return tmp_path / "videos"


def grey(videos):
    return [[int(videos.frame(i, t).mean()) for t in range(videos.num_frames(i))] for i in range(len(videos.names))]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_videos_of_a_split(folder, caplog):
    videos = FolderVideos(folder, split="train", size=SIZE)
    assert videos.names == ["a#1", "b#1"]
    assert grey(videos) == [[10, 20, 30], [40, 50]]
    assert videos.frame(0, 0).shape == (SIZE, SIZE, 3) and videos.frame(0, 0).dtype == np.uint8
    assert grey(FolderVideos(folder, split="test", size=SIZE)) == [[60, 70]]
    assert warnings_of(caplog) == []


def test_video_files_are_read(folder):
    frames = [Image.new("RGB", (24, 24), (value,) * 3) for value in (0, 255, 0)]
    frames[0].save(folder / "train/d.gif", save_all=True, append_images=frames[1:], duration=100)
    videos = FolderVideos(folder, split="train", size=SIZE)
    assert videos.names[2] == "d.gif" and grey(videos)[2] == [0, 255, 0]


def test_a_video_is_decoded_once_and_again_when_it_changes(folder, monkeypatch):
    decoded = []

    def read_frames(path, **options):
        decoded.append(path.name)
        return original(path, **options)

    original = folder_videos.read_frames
    monkeypatch.setattr(folder_videos, "read_frames", read_frames)
    FolderVideos(folder, split="train", size=SIZE)
    FolderVideos(folder, split="train", size=SIZE)
    assert decoded == ["a#1", "b#1"]
    FolderVideos(folder, split="train", size=SIZE + 1)
    assert decoded == ["a#1", "b#1"] * 2
    Image.new("RGB", (20, 20), (99,) * 3).save(folder / "train/b#1/2.png")
    assert grey(FolderVideos(folder, split="train", size=SIZE)) == [[10, 20, 30], [40, 50, 99]]
    assert decoded == ["a#1", "b#1"] * 2 + ["b#1"]


def test_progress_is_shown_on_a_terminal_only_and_when_there_is_work(folder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def shown(stream, **options):
        monkeypatch.setattr("sys.stderr", stream)
        FolderVideos(folder, size=SIZE, **options)
        return stream.getvalue()

    assert "decoding train videos: 100%" in shown(Terminal(), split="train")
    assert shown(Terminal(), split="train") == ""
    assert shown(io.StringIO(), split="test") == ""
    (folder / "test/c#1/1.png").touch()
    assert shown(Terminal(), split="test", progress=False) == ""


def test_unusable_videos_are_skipped_with_a_warning_each(folder, caplog):
    (folder / "train/broken.mp4").write_bytes(b"no video at all" * 50)
    (folder / "train/dangling.mp4").symlink_to(folder / "nowhere.mp4")
    write_clip(folder / "train/still", [1])
    videos = FolderVideos(folder, split="train", size=SIZE)
    assert videos.names == ["a#1", "b#1"] and grey(videos)[1] == [40, 50]
    warnings = warnings_of(caplog)
    assert len(warnings) == 3 and all("\n" not in warning for warning in warnings)
    assert all(warning.startswith("skipping video: ") for warning in warnings)
    for name in ("broken.mp4", "dangling.mp4", "still has 1 frame"):
        assert sum(name in warning for warning in warnings) == 1


def test_a_reading_failure_is_not_taken_for_a_full_disk(folder, monkeypatch, caplog):
    def read_frames(path, **options):
        if path.name == "a#1":
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    original = folder_videos.read_frames
    monkeypatch.setattr(folder_videos, "read_frames", read_frames)
    assert FolderVideos(folder, split="train", size=SIZE).names == ["b#1"]
    assert "Permission denied" in warnings_of(caplog)[0]


def test_the_cache_goes_home_when_the_folder_cannot_be_written(folder, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    (folder / ".cache-motion-transformer").write_bytes(b"in the way, as a read-only folder would be")
    videos = FolderVideos(folder, split="train", size=SIZE)
    assert grey(videos) == [[10, 20, 30], [40, 50]]
    assert len(list(home.rglob("*.npy"))) == 2
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with pytest.raises(UserError, match=r"cannot write to .* nor to .*; make one writable"):
        FolderVideos(folder, split="train", size=SIZE)


def test_a_full_disk_stops_with_a_hint(folder, monkeypatch):
    def write_entry(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_videos, "write_entry", write_entry)
    with pytest.raises(UserError, match="No space left on device; free some disk space"):
        FolderVideos(folder, split="train", size=SIZE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"no folder of videos is given; expected .* pass --config.data.folder=DIR"),
        ("nowhere", r"nowhere is not a folder; expected a folder with train/ and test/"),
        ("plain", r"plain has no train/; expected a folder with train/ and test/"),
        ("empty", r"empty/train holds no video; expected a folder with train/ and test/"),
        ("useless", r"useless/train: none of its 1 videos can be used; expected"),
    ],
)
def test_folders_without_videos_are_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").mkdir()
    (tmp_path / "empty/train").mkdir(parents=True)
    (tmp_path / "useless/train").mkdir(parents=True)
    (tmp_path / "useless/train/broken.mp4").write_bytes(b"broken")
    with pytest.raises(UserError, match=message) as raised:
        FolderVideos(name, split="train", size=SIZE)
    assert "\n" not in str(raised.value)
