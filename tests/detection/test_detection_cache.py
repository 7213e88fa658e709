"""Detections on disk: found again, made again when they do not fit, and never in the way."""

import logging

import numpy as np
import pytest

from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import Embeddings, Keypoints


class Counting:
    """A detector that counts its calls, and finds what the frames' first pixel says."""

    name = "counting-1"

    def __init__(self):
        self.calls = 0

    def detect(self, frames):
        self.calls += 1
        points = np.repeat(frames[:, :1, :1, :2].astype(np.float32).reshape(-1, 1, 2), 5, axis=1)
        return Keypoints(points, points[..., 0] > 0)

    def embed(self, frames):
        self.calls += 1
        return Embeddings(frames[:, 0, :4, 0].astype(np.float32), frames[:, 0, 0, 0] > 0)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


@pytest.fixture
def detector():
    return Counting()


def assert_equal(one, other):
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), strict=True)


@pytest.mark.parametrize("kind", ["detect", "embed"])
def test_detections_are_made_once(tmp_path, detector, frames, kind):
    first = getattr(DetectionCache(tmp_path), kind)(detector, "a.mp4", frames)
    again = getattr(DetectionCache(tmp_path), kind)(detector, "a.mp4", frames)
    assert detector.calls == 1
    assert_equal(first, again)
    assert [path.suffix for path in DetectionCache(tmp_path).folder.iterdir()] == [".npz"]


def test_keypoints_and_identities_of_one_detector_are_apart(tmp_path, detector, frames):
    cache = DetectionCache(tmp_path)
    cache.detect(detector, "a", frames)
    assert cache.embed(detector, "a", frames).vectors.shape == (3, 4)
    assert detector.calls == 2


def test_other_frames_sizes_and_detectors_miss(tmp_path, detector, frames):
    cache = DetectionCache(tmp_path)
    cache.detect(detector, "a", frames)
    changed = frames.copy()
    changed[2, 7, 7, 2] ^= 1
    cache.detect(detector, "a", changed)
    cache.detect(detector, "a", frames.reshape(12, 4, 4, 3))
    cache.detect(detector, "a", frames[:2])
    assert detector.calls == 4
    detector.name = "counting-2"
    cache.detect(detector, "a", frames)
    assert detector.calls == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b"PK" + path.read_bytes()[2:200]),
        lambda path: np.savez(path, points=np.zeros((3, 5, 2), np.float32)),
        lambda path: np.savez(path, points=np.zeros((3, 5, 2), np.float32), visible=np.zeros((2, 5), bool)),
        lambda path: np.savez(path, points=np.zeros((3, 5, 2), np.float32), visible=np.zeros((3, 5))),
        lambda path: np.savez(path, points=np.zeros((3, 5, 2), np.float32), visible=np.array([None])),
    ],
    ids=["empty", "cut off", "scrambled", "an array short", "other frames", "other types", "objects"],
)
def test_damaged_entries_are_made_again(tmp_path, detector, frames, damage):
    cache = DetectionCache(tmp_path)
    first = cache.detect(detector, "a", frames)
    damage(next(cache.folder.iterdir()))
    assert_equal(cache.detect(detector, "a", frames), first)
    assert_equal(cache.detect(detector, "a", frames), first)
    assert detector.calls == 2


@pytest.mark.parametrize("name", ["../../up.mp4", "id10283#q#b.mp4", ".hidden", "ä" * 300, "a/b c\n", ""])
def test_any_name_is_a_file_of_the_folder(tmp_path, detector, frames, name):
    cache = DetectionCache(tmp_path)
    cache.detect(detector, name, frames)
    cache.detect(detector, name, frames)
    assert detector.calls == 1
    assert [path.parent for path in tmp_path.rglob("*.npz")] == [cache.folder]


def test_folders(tmp_path, monkeypatch):
    """Of the videos, else of the user: as of decoded frames."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert DetectionCache(tmp_path).folder == tmp_path / ".cache-motion-transformer" / "detections"
    assert DetectionCache().folder == tmp_path / "cache" / "motion_transformer_jax" / "detections"
    (tmp_path / "videos").write_bytes(b"")  # root may write where others may not: a file stands for it
    folder = DetectionCache(tmp_path / "videos").folder
    assert folder.is_relative_to(tmp_path / "cache" / "motion_transformer_jax")


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch, caplog, detector, frames):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        cache = DetectionCache()
        cache.detect(detector, "a", frames)
        cache.detect(detector, "a", frames)
    assert detector.calls == 2
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "detections are not kept for the next evaluation"
    ]


def test_a_full_disk_is_no_reason_to_stop(tmp_path, monkeypatch, caplog, detector, frames):
    cache = DetectionCache(tmp_path)

    def savez(*_args, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", savez)
    with caplog.at_level(logging.WARNING):
        assert cache.detect(detector, "a", frames).visible.any()
        cache.detect(detector, "b", frames)
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert not list((tmp_path / ".cache-motion-transformer" / "detections").iterdir())
