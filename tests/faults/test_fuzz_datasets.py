"""Damaged datasets and caches into their readers: a result that makes sense or a UserError."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from corpora import write_corpus
from damage import LENGTHS, campaign, changed, damaged, encoded
from hypothesis import strategies as st
from tiny_model import random_frames

from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.frame_cache import find_entry, write_entry
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.prepared_videos import PreparedVideos
from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import Keypoints

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of long examples


@LENGTHS
@pytest.mark.parametrize("name", ["metadata.json", "dataset_info.json", "features.json", "records"])
def test_prepared_datasets(tmp_path, examples, name):
    source = write_corpus(tmp_path / "source", train=1, test=1)
    whole = prepare_dataset("folder", tmp_path / "out", Preparation(source=source, frame_format=FrameFormat(8)))
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    path = next(folder.glob("*-train.*")) if name == "records" else folder / name
    content = path.read_bytes()

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else encoded(content))
        videos = PreparedVideos(folder, split="train")
        for index in range(min(len(videos.names), 3)):
            frame = videos.frame(index, videos.num_frames(index) - 1)
            assert frame.shape == (videos.size, videos.size, 3)

    if name == "records":  # of the same length, which is looked at first
        flips = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), min_size=1, max_size=3)
        strategy = flips.map(lambda flips: _flipped(content, flips))
    else:
        strategy = damaged(content) | changed(json.loads(content))
    campaign(strategy, check, examples)


def _flipped(content: bytes, flips: list[tuple[int, int]]) -> bytes:
    content = bytearray(content)
    for at, change in flips:
        content[at] ^= change
    return bytes(content)


@LENGTHS
def test_cached_frames(tmp_path, examples):
    video = tmp_path / "video.mp4"
    video.touch()
    entry = write_entry(video, random_frames(3, 8, 8), tmp_path, 8)

    def check(content):
        entry.path.write_bytes(content)
        found = find_entry(video, [tmp_path], 8)
        if found is not None and found.num_frames:
            assert found.frame(found.num_frames - 1).shape == (8, 8, 3)

    campaign(damaged(entry.path.read_bytes()), check, examples)


@LENGTHS
def test_cached_detections(tmp_path, monkeypatch, examples):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = Keypoints(np.ones((2, 3, 2), np.float32), np.ones((2, 3), bool))

    class Detector:
        name = "fixed"

        def detect(self, frames):
            return found

    cache, frames = DetectionCache(), random_frames(2, 8, 8)
    cache.detect(Detector(), "video", frames)
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()

    def check(content):
        path.write_bytes(content)
        assert cache.detect(Detector(), "video", frames).points.shape == (2, 3, 2)

    campaign(damaged(whole), check, examples)
