import dataclasses
import subprocess
import sys

import pytest
from corpora import frame, records, shard_of, write_mp4, write_odd_clips, write_strip

from motion_transformer_jax.data import shards as shards_module
from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.shards import read_contents, write_shard


@pytest.fixture
def clips(tmp_path):
    return write_odd_clips(tmp_path)


def test_a_shard_holds_usable_videos_side_by_side_and_names_the_others(tmp_path, clips):
    shard = shard_of(tmp_path, clips)
    write_shard(shard)
    contents = read_contents(shard)
    assert contents.num_records == 6
    assert contents.videos == [
        {"name": "a#0.png", "identity": "a", "fps": 25.0, "video": 7, "first": 0, "frames": 3},
        {"name": "b#0", "identity": "b", "fps": 25.0, "video": 11, "first": 3, "frames": 3},
    ]
    read = records(shard)
    assert [(r["video"], r["frame"]) for r in read] == [(7, 0), (7, 1), (7, 2), (11, 0), (11, 1), (11, 2)]
    assert (read[1]["image"] == frame(1, 1)).all() and (read[4]["image"] == frame(3, 2)).all()
    assert [name for name, _ in contents.skipped] == ["bad.mp4", "gone.gif", "short.png"]
    assert "fewer than two frames" in contents.skipped[2][1]
    assert contents.damaged[0][0] == "b#0" and "1 broken frame skipped" in contents.damaged[0][1]
    assert not list(tmp_path.glob(".*"))


def test_a_finished_shard_is_left_alone_until_what_it_was_made_from_changes(tmp_path, clips, monkeypatch):
    shard = shard_of(tmp_path, clips)
    write_shard(shard)
    monkeypatch.setattr(shards_module, "_write_records", lambda *_: pytest.fail("written again"))
    write_shard(shard)
    for changed in (
        dataclasses.replace(shard, frame_format=FrameFormat(8, encoding="jpeg")),
        dataclasses.replace(shard, clips=shard.clips[1:]),
        dataclasses.replace(shard, clips=(Clip(clips[-1], ("00000.png",)), *shard.clips[1:])),
    ):
        assert read_contents(changed) is None
    write_strip(clips[0], 1, num_frames=2)
    assert read_contents(shard) is None


def test_names_too_long_for_a_file_are_missing_videos(tmp_path, clips):
    shard = shard_of(tmp_path, [tmp_path / ("x" * 300), clips[0]])
    write_shard(shard)
    assert [video["name"] for video in read_contents(shard).videos] == ["a#0.png"]


def test_a_shard_without_its_file_or_with_a_damaged_sidecar_is_not_finished(tmp_path, clips):
    shard = shard_of(tmp_path, clips[:1])
    write_shard(shard)
    shard.sidecar.write_text(shard.sidecar.read_text()[:-9])
    assert read_contents(shard) is None
    write_shard(shard)
    shard.path.unlink()
    assert read_contents(shard) is None


def test_a_full_disk_leaves_no_half_shard(tmp_path):
    """A limit on the size of files stands for the full disk: the system refuses in the same place."""
    write_mp4(tmp_path / "v.mp4", num_frames=12, size=64)
    code = f"""
import resource, signal
from pathlib import Path
from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.shards import Shard, write_shard
from motion_transformer_jax.errors import UserError
folder = Path({str(tmp_path)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    write_shard(Shard(folder / "x.rec", (Clip(folder / "v.mp4"),), 0, FrameFormat(64)))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "x.rec (write() failed: File too large); what was finished stays valid: make room" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]
