import io
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from corpora import frame, write_corpus, write_strip
from PIL import Image

from motion_transformer_jax.data import shards
from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.pairs import PairBatches, PairSource
from motion_transformer_jax.data.prepared_dataset import open_dataset
from motion_transformer_jax.data.prepared_videos import PreparedVideos, find_prepared, require_prepared
from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.errors import UserError


def prepare(out, source, name="folder", **options):
    return prepare_dataset(name, out, Preparation(source=source, frame_format=FrameFormat(8), **options))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    source = write_corpus(root / "source", train=20, test=3)
    write_strip(source / "train" / "id2#1.png", 20, num_frames=7)
    (source / "test" / "bad.mp4").touch()
    (root / "pairs.csv").write_text("source,driving\nother2#0,other0#0\n")
    prepare(root / "out", source, pairs=root / "pairs.csv", max_bad=1)
    return root / "out"


def test_any_frame_is_at_hand(out):
    train = PreparedVideos(find_prepared(out), split="train", size=8)
    assert train.names[:5] == ["id0#0.png", "id1#0.png", "id2#0.png", "id2#1.png", "id3#0.png"]
    assert [train.num_frames(i) for i in range(5)] == [3, 3, 3, 7, 3]
    for index, t, video in [(3, 6, 20), (4, 0, 3), (0, 2, 0), (20, 1, 19)]:
        np.testing.assert_array_equal(train.frame(index, t), frame(video, t))
    for t in (-1, 3):
        with pytest.raises(IndexError, match=r"frame .* of id0#0.png, which has 3"):
            train.frame(0, t)
    assert train.pairs == []
    test = PreparedVideos(find_prepared(out), split="test", size=8)
    assert test.names == ["other0#0.png", "other1#0.png", "other2#0.png"]  # not the bad one
    np.testing.assert_array_equal(test.frame(2, 1), frame(2, 1))
    assert test.pairs == [("other2#0.png", "other0#0.png")]


def test_readers_can_be_sent_to_other_processes(out):
    videos = PreparedVideos(find_prepared(out), split="train", size=8)
    videos.frame(0, 0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(videos)).frame(3, 5), videos.frame(3, 5))


def test_workers_read_the_same_batches(out):
    def batches(worker_count):
        source = PairSource(create_videos("train", kind="folder", folder=str(out), image_size=8), repeats=2, seed=1)
        reader = PairBatches(source, batch_size=5, seed=1, worker_count=worker_count)
        read = [next(reader) for _ in range(6)]  # into the second epoch's pairs
        reader.close()
        return read

    for one, other in zip(batches(0), batches(2), strict=True):
        for name in ("source", "driving"):
            np.testing.assert_array_equal(one[name], other[name])


def test_a_large_corpus_is_sampled_without_reading_the_rest(tmp_path, monkeypatch):
    """20,000 videos: none is opened before it is asked for, and few files are open at once."""
    png = io.BytesIO()
    Image.fromarray(frame(1, 2)).save(png, "png")
    monkeypatch.setattr(shards, "encoded_frames", lambda *_: iter([png.getvalue()] * 2))
    monkeypatch.setattr(shards, "clip_fps", lambda _: 25.0)
    for split, count in (("train", 20_000), ("test", 1)):
        (tmp_path / split).mkdir()
        (tmp_path / f"{split}.txt").write_text("".join(f"id{i // 20}#{i}\n" for i in range(count)))
    lists = {split: tmp_path / f"{split}.txt" for split in ("train", "test")}
    videos = PreparedVideos(prepare(tmp_path / "out", tmp_path, lists=lists), split="train", size=8)
    source = PairSource(videos, repeats=100, by_identity=True)
    assert len(videos.names) == 20_000 and len(source) == 100_000
    assert opened(videos) == 0
    reader = PairBatches(source, batch_size=4, seed=0)
    np.testing.assert_array_equal(next(reader)["driving"][3], frame(1, 2))
    reader.close()
    assert 1 <= opened(videos) < 256
    code = (
        "import re, sys\n"
        "from motion_transformer_jax.data.pairs import PairBatches, PairSource\n"
        "from motion_transformer_jax.data.video_sources import create_videos\n"
        "videos = create_videos('train', kind='folder', folder=sys.argv[1], image_size=8)\n"
        "next(PairBatches(PairSource(videos, repeats=100), batch_size=64, seed=0))\n"
        # Not getrusage's ru_maxrss, which starts at the peak of the process that started this one.
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 2**20  # KiB: a GiB


def opened(videos):
    """How many of a dataset's files are open."""
    return sum(reader is not None for reader in videos._frames.data_source._readers)


def test_a_dataset_is_found_from_its_own_folder_too(out):
    own = out / "motion_videos" / "folder" / "1.0.0"
    assert find_prepared(out) == find_prepared(own) == require_prepared(out) == own
    assert find_prepared(out.parent / "source") is None
    with pytest.raises(UserError, match="source holds no prepared dataset; expected what `motrans prepare` had"):
        require_prepared(out.parent / "source")


def test_several_datasets_in_one_folder_must_be_told_apart(out, tmp_path):
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    prepare(tmp_path, out.parent / "source", "vox256", max_bad=1)
    with pytest.raises(UserError, match=r"holds several datasets; choose one, such as .*motion_videos/folder/1\.0\.0"):
        find_prepared(tmp_path)
    assert find_prepared(tmp_path / "motion_videos" / "vox256" / "1.0.0") is not None


def test_an_unfinished_preparation_is_told(tmp_path):
    (tmp_path / "motion_videos" / "vox256" / "1.0.0.shards").mkdir(parents=True)
    with pytest.raises(UserError, match="whose preparation is not finished; run the same `prepare` again"):
        find_prepared(tmp_path)


def test_another_size_is_refused(out):
    with pytest.raises(UserError, match=r"holds frames of 8 px but model.image_size=16; prepare .* --size 16, or set"):
        create_videos("train", kind="folder", folder=str(out), image_size=16)


def test_another_version_is_refused(out, tmp_path):
    old = tmp_path / "motion_videos" / "folder" / "0.3.0"
    shutil.copytree(find_prepared(out), old)
    info = json.loads((old / "dataset_info.json").read_text())
    (old / "dataset_info.json").write_text(json.dumps({**info, "version": "0.3.0"}))
    with pytest.raises(UserError, match=r"was prepared in version 0\.3\.0, this program reads 1\.0\.0; remove it, and"):
        open_dataset(find_prepared(tmp_path))


@pytest.mark.parametrize("damage", ["dataset_info.json", "metadata.json"])
def test_a_damaged_dataset_is_refused(out, tmp_path, damage):
    shutil.copytree(find_prepared(out), tmp_path / "d")
    (tmp_path / "d" / damage).write_text("{")
    with pytest.raises(UserError, match=r"cannot be read as a prepared dataset|not videos prepared by"):
        PreparedVideos(tmp_path / "d", split="train", size=8)


def test_a_missing_shard_is_one_line(out, tmp_path):
    shutil.copytree(find_prepared(out), tmp_path / "d")
    next((tmp_path / "d").glob("*train*00001-of*")).unlink()
    with pytest.raises(UserError, match=r"lacks .*motion_videos-train\.array_record-00001-of-00002"):
        PreparedVideos(tmp_path / "d", split="train", size=8)


def test_a_truncated_shard_is_one_line(out, tmp_path):
    shutil.copytree(find_prepared(out), tmp_path / "d")
    shard = next((tmp_path / "d").glob("*train*00001-of*"))
    shard.write_bytes(shard.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"the files of train in .* have \d+ bytes, not \d+; remove it, and prepare"):
        PreparedVideos(tmp_path / "d", split="train", size=8)
