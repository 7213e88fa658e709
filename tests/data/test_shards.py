import concurrent.futures
import dataclasses
import multiprocessing
import os
import subprocess
import sys

import pytest
from array_record.python.array_record_data_source import ArrayRecordDataSource
from corpora import frame, write_frames, write_mp4, write_strip

from motion_transformer_jax.data import shards as shards_module
from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.shards import (
    Shard,
    frame_features,
    read_contents,
    write_locally,
    write_shard,
    write_shards,
    write_with_beam,
)
from motion_transformer_jax.errors import UserError


def shard_of(folder, paths, name="x.array_record-00000-of-00001"):
    return Shard(folder / name, tuple(map(Clip, paths)), first_video=7, frame_format=FrameFormat(8))


@pytest.fixture
def clips(tmp_path):
    write_strip(tmp_path / "a#0.png", 1, num_frames=3)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    write_strip(tmp_path / "short.png", 2, num_frames=1)
    write_frames(tmp_path / "b#0", 3, num_frames=4)
    (tmp_path / "b#0" / "00001.png").write_bytes(b"no image")
    return [tmp_path / name for name in ("a#0.png", "bad.mp4", "gone.gif", "short.png", "b#0")]


def records(shard):
    features = frame_features(8)
    return [features.deserialize_example_np(record) for record in ArrayRecordDataSource([str(shard.path)])]


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


def test_a_video_that_changes_while_it_is_read_is_not_finished(tmp_path, clips, monkeypatch):
    original = shards_module.clip_fps

    def clip_fps(clip):
        write_strip(clips[0], 1, num_frames=5)
        return original(clip)

    shard = shard_of(tmp_path, clips)
    with monkeypatch.context() as patch:
        patch.setattr(shards_module, "clip_fps", clip_fps)
        with pytest.raises(UserError, match=r"1 shards such as .*00001 are not as they should be: videos changed"):
            write_shards([shard])
    write_shards([shard])
    assert read_contents(shard).videos[0]["frames"] == 5


def test_names_too_long_for_a_file_are_missing_videos(tmp_path, clips):
    shard = shard_of(tmp_path, [tmp_path / ("x" * 300), clips[0]])
    write_shard(shard)
    assert [video["name"] for video in read_contents(shard).videos] == ["a#0.png"]


def test_a_killed_process_is_one_line(tmp_path, clips, monkeypatch):
    class BrokenPool(concurrent.futures.ProcessPoolExecutor):
        def submit(self, *_):
            return super().submit(os._exit, 1)

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", BrokenPool)
    with pytest.raises(UserError, match=r"a process was killed, perhaps for want of memory; .* with fewer --jobs"):
        list(write_locally([shard_of(tmp_path, clips, f"{i}.rec") for i in range(2)], 2))


def test_a_shard_without_its_file_or_with_a_damaged_sidecar_is_not_finished(tmp_path, clips):
    shard = shard_of(tmp_path, clips[:1])
    write_shard(shard)
    shard.sidecar.write_text(shard.sidecar.read_text()[:-9])
    assert read_contents(shard) is None
    write_shard(shard)
    shard.path.unlink()
    assert read_contents(shard) is None


def assert_same_records(one, other):
    assert read_contents(one) == dataclasses.replace(read_contents(other), digest=read_contents(one).digest)
    for a, b in zip(records(one), records(other), strict=True):
        assert (a["video"], a["frame"]) == (b["video"], b["frame"]) and (a["image"] == b["image"]).all()


def test_several_processes_write_the_same_records(tmp_path, clips):
    alone, together = ([shard_of(tmp_path / f, clips[i::2], f"{i}.rec") for i in range(2)] for f in ("a", "b"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    assert list(write_locally(alone, 1)) == alone
    assert set(write_locally(together, 2)) == set(together)
    for one, other in zip(alone, together, strict=True):
        assert_same_records(one, other)
    assert not multiprocessing.active_children()


def test_beam_writes_the_same_records(tmp_path, clips):
    (tmp_path / "beam").mkdir()
    local, beam = shard_of(tmp_path, clips), shard_of(tmp_path / "beam", clips)
    write_shard(local)
    write_with_beam([beam], "DirectRunner", [])
    assert_same_records(beam, local)


def test_a_failing_pipeline_is_one_line(tmp_path, clips):
    missing = shard_of(tmp_path / "no" / "folder", clips)
    with pytest.raises(UserError, match=r"the pipeline on DirectRunner failed: .*there is no folder"):
        write_with_beam([missing], "DirectRunner", [])
    with pytest.raises(UserError, match="the pipeline on NoRunner failed"):
        write_with_beam([missing], "NoRunner", [])


def test_without_beam_its_extra_is_named(monkeypatch, tmp_path, clips):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'motion_transformer_jax\[beam\]'"):
        write_with_beam([shard_of(tmp_path, clips)], "DirectRunner", [])


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
