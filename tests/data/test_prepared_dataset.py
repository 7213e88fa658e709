"""Prepared datasets that come from anywhere: nothing of theirs is run, nothing outside of them is read."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from corpora import frame, write_corpus

from motion_transformer_jax import configs, prepare
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.pairs import PairBatches, PairSource
from motion_transformer_jax.data.prepared_dataset import open_dataset
from motion_transformer_jax.data.prepared_videos import PreparedVideos
from motion_transformer_jax.errors import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    source = write_corpus(root / "source")
    return prepare_dataset("folder", root / "out", Preparation(source=source, frame_format=FrameFormat(8)))


@pytest.fixture
def dataset(whole, tmp_path):
    """A copy that may be changed."""
    return Path(shutil.copytree(whole, tmp_path / "out" / "motion_videos" / "folder" / "1.0.0"))


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def payload(tmp_path, monkeypatch):
    """A module that anybody can import, and that leaves a mark when somebody does; the mark."""
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mark"
    sys.modules.pop("payload", None)


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
def test_classes_that_it_names_are_not_imported(dataset, payload, key):
    """TFDS itself imports them."""
    feature = {key: "payload.Feature", "content": {}}
    edit(dataset / "features.json", lambda features: features["featuresDict"]["features"].update(frame=feature))
    edit(dataset / "dataset_info.json", lambda info: info.update(features={"pythonClassName": "payload.Feature"}))
    videos = PreparedVideos(dataset, split="train")
    np.testing.assert_array_equal(videos.frame(1, 2), frame(1, 2))
    reader = PairBatches(PairSource(videos, repeats=9), batch_size=2, seed=0, worker_count=1)  # opens it anew
    assert next(reader)["source"].shape == (2, 8, 8, 3)
    reader.close()
    assert not payload.exists()


def test_code_that_it_names_as_its_config_is_not_run(dataset, payload, capsys):
    path = payload.with_name("payload")
    for name in (str(path), os.path.relpath(path, configs.__path__[0])):
        edit(dataset / "dataset_info.json", lambda info, name=name: info.update(configName=name))
        assert run_command(prepare.main, ["inspect", str(dataset)]) == 2
        assert "names no config of ours" in capsys.readouterr().err
    assert not payload.exists()


@pytest.mark.parametrize("template", ["../{DATASET}-{SPLIT}", "/etc/passwd", "sub/{SPLIT}-{SHARD_X_OF_Y}"])
def test_files_outside_of_it_are_not_read(dataset, template):
    edit(dataset / "dataset_info.json", lambda info: info["splits"][0].update(filepathTemplate=template))
    with pytest.raises(
        UserError, match=r"names a file outside of itself, |cannot be read as a prepared dataset"
    ) as error:
        open_dataset(dataset)
    assert "\n" not in str(error.value)


def test_a_linked_dataset_is_its_owners_affair(dataset, tmp_path):
    """The folder itself, and each file of it, may be a link."""
    store = tmp_path / "store"
    dataset.rename(store)
    dataset.mkdir()
    for file in store.iterdir():
        (dataset / file.name).symlink_to(file)
    (tmp_path / "linked").symlink_to(dataset, target_is_directory=True)
    np.testing.assert_array_equal(PreparedVideos(tmp_path / "linked", split="test").frame(0, 1), frame(0, 1))


def first_video(**changes):
    return lambda metadata: metadata["videos"]["train"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (first_video(name="../../thesis"), "names a video '../../thesis', which is no file's name"),
        (first_video(name="/etc/passwd"), "which is no file's name"),
        (first_video(name=".."), "which is no file's name"),
        (first_video(name=3), "has a video of train without a name"),
        (first_video(identity=None), "does not tell identity and rate of 'id0#0.png'"),
        (first_video(first=-1), "places 'id0#0.png' outside of train's 9 records"),
        (first_video(first=7), "outside of train's 9 records"),
        (first_video(frames=10**12), "outside of train's 9 records"),
        (first_video(frames=1), "outside of train's 9 records"),
        (first_video(frames="3"), "outside of train's 9 records"),
        (lambda metadata: metadata["videos"].pop("test"), "has no videos of train and test"),
        (lambda metadata: metadata["videos"].update(other=[]), "has no videos of train and test"),
        (lambda metadata: metadata["videos"].update(train={}), "has no list of train's videos"),
        (lambda metadata: metadata.update(pairs=[["a"]]), "has no list of pairs"),
        (lambda metadata: metadata.pop("digest"), "has no digest"),
        (lambda metadata: metadata.update(size=10**6), "cannot be read as a prepared dataset (size 1000000)"),
        (lambda metadata: metadata.update(size="8"), "cannot be read as a prepared dataset (size '8')"),
    ],
)
def test_metadata_that_cannot_be(dataset, change, message):
    edit(dataset / "metadata.json", change)
    with pytest.raises(UserError) as error:
        open_dataset(dataset)
    assert message in str(error.value) and "remove it, and prepare it again" in str(error.value)


def test_deep_metadata(dataset):
    (dataset / "metadata.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="cannot be read as a prepared dataset"):
        open_dataset(dataset)


@pytest.mark.parametrize("worker_count", [0, 1])
def test_a_damaged_record_is_one_line(dataset, worker_count):
    """Not at the start, as that would mean to read everything, but by whoever meets it."""
    shard = next(dataset.glob("*-train.*"))
    content = bytearray(shard.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    shard.write_bytes(content)
    videos = PreparedVideos(dataset, split="train")
    with pytest.raises(UserError, match=r"frame 0 of id0#0\.png cannot be read .*; remove the dataset, and prepare it"):
        videos.frame(0, 0)
    reader = PairBatches(PairSource(videos, repeats=9), batch_size=9, seed=0, worker_count=worker_count)
    with pytest.raises(UserError, match="cannot be read"):
        for _ in range(9):
            next(reader)
    reader.close()
