import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from corpora import frame, write_corpus, write_frames, write_strip

from motion_transformer_jax.data import builders, shard_runners
from motion_transformer_jax.data.builders import MotionVideos, Preparation, prepare_dataset
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.errors import UserError


def preparation(source, **options):
    return Preparation(source=source, frame_format=FrameFormat(8), **options)


@pytest.fixture
def source(tmp_path):
    return write_corpus(tmp_path / "source", train=20, test=2)


def test_the_configs_are_the_papers_datasets():
    sizes = {name: config.size for name, config in MotionVideos.builder_configs.items()}
    assert sizes == {"vox256": 256, "taichi256": 256, "ted384": 384, "mgif256": 256, "folder": 256}
    assert MotionVideos(config="ted384").info.features["image"].shape == (384, 384, 3)


def test_anyone_reads_it_with_tfds_alone(tmp_path, source):
    folder = prepare_dataset("mgif256", tmp_path / "out", preparation(source))
    assert folder == tmp_path / "out" / "motion_videos" / "mgif256" / "1.0.0"
    code = """
import sys, numpy as np, tensorflow_datasets as tfds
train = tfds.data_source("motion_videos/mgif256", data_dir=sys.argv[1], split="train")
example = train[3 * 17 + 2]
print(len(train), example["video"], example["frame"], example["image"][0, 0].tolist())
builder = tfds.builder_from_directory(sys.argv[2])
print(builder.info.metadata["videos"]["train"][17])
print("tensorflow" in sys.modules, "motion_transformer_jax" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out"), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    video = {"name": "id17#0.png", "identity": "id17", "fps": 25.0, "video": 17, "first": 51, "frames": 3}
    assert done.stdout.splitlines() == ["60 17 2 [170, 20, 40]", str(video), "False False"]


def test_shards_hold_whole_videos_and_the_index_counts_over_all(tmp_path, source, monkeypatch):
    write_strip(source / "train" / "id3#0.png", 3, num_frames=5)
    monkeypatch.setattr(builders, "_CLIPS_PER_SHARD", 4)
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source))
    info = tfds.builder_from_directory(folder).info
    assert info.splits["train"].shard_lengths == [14, 12, 12, 12, 12]
    assert [video["first"] for video in info.metadata["videos"]["train"][:6]] == [0, 3, 6, 9, 14, 17]
    frames = tfds.builder_from_directory(folder).as_data_source("train")
    for video in info.metadata["videos"]["train"]:
        example = frames[video["first"] + 1]
        np.testing.assert_array_equal(example["image"], frame(video["video"], 1))
    assert sum(1 for _ in folder.glob("*array_record*")) == 6
    monkeypatch.setattr(builders, "_MAX_SHARDS", 2)
    folder = prepare_dataset("folder", tmp_path / "other", preparation(source))
    assert len(tfds.builder_from_directory(folder).info.splits["train"].shard_lengths) == 2


def test_a_second_run_finds_the_dataset_and_another_is_refused(tmp_path, source):
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare_dataset("folder", tmp_path / "out", preparation(source, jobs=2)) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert not (folder.parent / "1.0.0.shards").exists()
    write_strip(source / "train" / "new#0.png", 1)
    with pytest.raises(UserError, match=r"1\.0\.0 was prepared from other files or with other settings; remove it or"):
        prepare_dataset("folder", tmp_path / "out", preparation(source))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_an_interrupted_run_goes_on_from_its_finished_shards(tmp_path, source, monkeypatch):
    monkeypatch.setattr(builders, "_CLIPS_PER_SHARD", 8)
    whole = prepare_dataset("folder", tmp_path / "whole", preparation(source))
    original, written = shard_runners.write_locally, []

    def interrupted(shards, jobs):
        for count, shard in enumerate(original(shards, jobs)):
            if count == 2:
                raise KeyboardInterrupt
            yield shard

    monkeypatch.setattr(shard_runners, "write_locally", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("folder", tmp_path / "out", preparation(source))
    folder = tmp_path / "out" / "motion_videos" / "folder"
    (folder / "1.0.0.shards" / ".left-by-a-kill.rec").touch()
    assert not (folder / "1.0.0").exists()

    def counted(shards, jobs):
        for shard in original(shards, jobs):
            written.append(shard.path.name)
            yield shard

    monkeypatch.setattr(shard_runners, "write_locally", counted)
    prepare_dataset("folder", tmp_path / "out", preparation(source))
    assert len(written) == 1
    for name in ("metadata.json", "dataset_info.json"):
        assert (folder / "1.0.0" / name).read_bytes() == (whole / name).read_bytes()
    frames = tfds.builder_from_directory(folder / "1.0.0").as_data_source("train")
    assert [(frame["video"], frame["frame"]) for frame in frames] == [(v, t) for v in range(20) for t in range(3)]
    assert sorted(path.name for path in folder.iterdir()) == ["1.0.0", "1.0.0.lock"]
    assert not list((folder / "1.0.0").glob("*array_record*.json"))


def test_an_unfinished_run_is_not_replaced_by_one_with_other_settings(tmp_path, source, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(builders, "write_report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("folder", tmp_path / "out", preparation(source))
    other = Preparation(source=source, frame_format=FrameFormat(16))
    with pytest.raises(
        UserError, match=r"1\.0\.0\.shards holds a preparation that was begun with .*size=8.*, not .*16"
    ):
        prepare_dataset("folder", tmp_path / "out", other)
    monkeypatch.setattr(shard_runners, "write_shard", lambda _: pytest.fail("written again"))
    prepare_dataset("folder", tmp_path / "out", preparation(source))


def test_a_disk_that_is_full_at_the_end_loses_no_shard(tmp_path, source, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tfds.core.DatasetInfo, "write_to_directory", full)
        with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
            prepare_dataset("folder", tmp_path / "out", preparation(source))
    monkeypatch.setattr(shard_runners, "write_shard", lambda _: pytest.fail("written again"))
    prepare_dataset("folder", tmp_path / "out", preparation(source))


def test_bad_videos_are_reported_and_too_many_refused(tmp_path, source, caplog):
    (source / "train" / "bad.mp4").write_bytes(b"no video")
    (source / "train" / "empty.gif").touch()
    (source / "train" / "emptied").mkdir()
    (source / "train" / "strip.png").write_bytes(b"no strip")
    write_frames(source / "train" / "part", 1)
    (source / "train" / "part" / "00001.png").write_bytes(b"no image")
    with pytest.raises(
        UserError, match=r"4 of 27 videos cannot be used, more than --max-bad 1 % allows; .*folder-report"
    ):
        prepare_dataset("folder", tmp_path / "out", preparation(source))
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source, max_bad=0.15))
    report = (tmp_path / "out" / "folder-report.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in report] == [
        "skipped train/bad.mp4",
        "skipped train/emptied",
        "skipped train/empty.gif",
        "skipped train/strip.png",
        "used in part train/part",
    ]
    assert "4 of 27 videos skipped, 1 used in part; " in caplog.text
    videos = tfds.builder_from_directory(folder).info.metadata["videos"]["train"]
    assert len(videos) == 21 and videos[-1]["name"] == "part" and videos[-1]["frames"] == 2


def test_odd_names_come_through(tmp_path, source):
    names = ["äö 猫#1.png", "x" * 240 + ".png", "a.png", "quote'\"#2.png", os.fsdecode(b"latin\xe9.png")]
    for place, name in enumerate(names):
        write_strip(source / "test" / name, place)
    write_frames(source / "test" / "a.gif", 9)  # the same name but for the ending
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source))
    found = {video["name"] for video in tfds.builder_from_directory(folder).info.metadata["videos"]["test"]}
    assert found == {*names, "a.gif", "other0#0.png", "other1#0.png"}


def test_a_split_without_usable_videos_is_refused(tmp_path, source):
    for path in (source / "test").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="test holds no video"):
        prepare_dataset("folder", tmp_path / "out", preparation(source, max_bad=1))
    (source / "test" / "v.mp4").touch()
    with pytest.raises(UserError, match=r"no video of test can be used; .*folder-report.txt says why"):
        prepare_dataset("folder", tmp_path / "out", preparation(source, max_bad=1))


def test_pairs_are_kept_but_for_bad_videos(tmp_path, source):
    (source / "test" / "bad.mp4").touch()
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("source,driving\nother0#0,other1#0\nbad,other0#0\n")
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source, pairs=pairs, max_bad=1))
    assert tfds.builder_from_directory(folder).info.metadata["pairs"] == [["other0#0.png", "other1#0.png"]]
    pairs.write_text("source,driving\nid0#0,other1#0\n")
    with pytest.raises(UserError, match="'id0#0' is none of the"):
        prepare_dataset("folder", tmp_path / "new", preparation(source, pairs=pairs))
    assert not (tmp_path / "new").exists()


def test_two_preparations_do_not_write_into_one_folder(tmp_path, source):
    folder = tmp_path / "out" / "motion_videos" / "folder"
    folder.mkdir(parents=True)
    with open(folder / "1.0.0.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another preparation is writing into"):
            prepare_dataset("folder", tmp_path / "out", preparation(source))
    prepare_dataset("folder", tmp_path / "out", preparation(source))


def test_a_killed_run_takes_its_processes_along(tmp_path):
    """Killed without a chance to clean up, in the middle of its work."""
    source = write_corpus(tmp_path / "source", train=64, test=1, num_frames=24, size=64)
    command = [sys.executable, "-m", "motion_transformer_jax.prepare", "--dataset", "folder", "--size", "60", "--jobs"]
    main = subprocess.Popen([*command, "2", "--source", str(source), "--out", str(tmp_path / "out")])
    work_folder = tmp_path / "out" / "motion_videos" / "folder" / "1.0.0.shards"
    deadline = time.monotonic() + 60
    while not list(work_folder.glob(".*array_record*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{main.pid}/task/{main.pid}/children").read_text().split()
    assert len(children) >= 2
    main.kill()
    main.wait()
    while any(is_running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(child) for child in children)
    folder = prepare_dataset("folder", tmp_path / "out", Preparation(source=source, frame_format=FrameFormat(60)))
    assert tfds.builder_from_directory(folder).info.splits["train"].num_examples == 64 * 24


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_frames_that_are_mended_are_read_again(tmp_path, source):
    video = source / "test" / "v"
    write_frames(video, 9)
    good = (video / "00001.png").read_bytes()
    (video / "00001.png").write_bytes(b"no image")
    (source / "test" / "bad.mp4").touch()
    with pytest.raises(UserError, match="1 of 24 videos"):
        prepare_dataset("folder", tmp_path / "out", preparation(source))
    (video / "00001.png").write_bytes(good)
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source, max_bad=1))
    videos = tfds.builder_from_directory(folder).info.metadata["videos"]["test"]
    assert next(row["frames"] for row in videos if row["name"] == "v") == 3


def test_a_damaged_dataset_is_not_taken_for_finished(tmp_path, source):
    folder = prepare_dataset("folder", tmp_path / "out", preparation(source))
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot be read as a prepared dataset .* remove it, and prepare it again"):
        prepare_dataset("folder", tmp_path / "out", preparation(source))


def test_an_undecodable_folder_is_one_line(tmp_path, source):
    with pytest.raises(UserError, match="is not UTF-8"):
        prepare_dataset("folder", tmp_path / os.fsdecode(b"out\xe9"), preparation(source))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, source):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*out"):
        prepare_dataset("folder", tmp_path / "out", preparation(source))


def test_lists_choose_among_the_videos(tmp_path, source):
    (tmp_path / "train.txt").write_text("id4#0.png\nid2#0.png\n")
    folder = prepare_dataset(
        "taichi256", tmp_path / "out", preparation(source, lists={"train": tmp_path / "train.txt"})
    )
    metadata = json.loads((folder / "metadata.json").read_text())
    assert [video["name"] for video in metadata["videos"]["train"]] == ["id4#0.png", "id2#0.png"]
