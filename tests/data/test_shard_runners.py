import concurrent.futures
import multiprocessing
import os
import sys

import pytest
from corpora import assert_same_records, shard_of, write_odd_clips, write_strip

from motion_transformer_jax.data import shards as shards_module
from motion_transformer_jax.data.shard_runners import write_locally, write_shards, write_with_beam
from motion_transformer_jax.data.shards import read_contents, write_shard
from motion_transformer_jax.errors import UserError


@pytest.fixture
def clips(tmp_path):
    return write_odd_clips(tmp_path)


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


def test_several_processes_write_the_same_records(tmp_path, clips):
    alone, together = ([shard_of(tmp_path / f, clips[i::2], f"{i}.rec") for i in range(2)] for f in ("a", "b"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    assert list(write_locally(alone, 1)) == alone
    assert set(write_locally(together, 2)) == set(together)
    for one, other in zip(alone, together, strict=True):
        assert_same_records(one, other)
    assert not multiprocessing.active_children()


def test_a_killed_process_is_one_line(tmp_path, clips, monkeypatch):
    class BrokenPool(concurrent.futures.ProcessPoolExecutor):
        def submit(self, *_):
            return super().submit(os._exit, 1)

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", BrokenPool)
    with pytest.raises(UserError, match=r"a process was killed, perhaps for want of memory; .* with fewer --jobs"):
        list(write_locally([shard_of(tmp_path, clips, f"{i}.rec") for i in range(2)], 2))


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
    with pytest.raises(UserError, match=r"pip install '\.\[beam\]' in the clone"):
        write_with_beam([shard_of(tmp_path, clips)], "DirectRunner", [])
