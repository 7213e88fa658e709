"""Small corpora on disk."""

import dataclasses
from pathlib import Path

import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource
from PIL import Image

from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.prepared_dataset import frame_features
from motion_transformer_jax.data.shards import Shard, read_contents
from motion_transformer_jax.data.video_writer import write_video


def frame(video, t, size=8):
    """A frame whose pixels tell its video and its time."""
    image = np.full((size, size, 3), 40, np.uint8)
    image[..., 0], image[..., 1] = 10 * video % 256, 10 * t % 256
    return image


def write_strip(path, video, num_frames=3, size=8):
    Image.fromarray(np.concatenate([frame(video, t, size) for t in range(num_frames)], axis=1)).save(path)


def write_frames(folder, video, num_frames=3, size=8, ending=".png"):
    folder.mkdir(parents=True)
    for t in range(num_frames):
        Image.fromarray(frame(video, t, size)).save(folder / f"{t:05d}{ending}")


def write_corpus(root, *, train=3, test=2, num_frames=3, size=8) -> Path:
    """`train` and `test` film strips: video i of train is `id{i}#0.png`, of test `other{i}#0.png`."""
    for split, count, prefix in (("train", train, "id"), ("test", test, "other")):
        (root / split).mkdir(parents=True)
        for video in range(count):
            write_strip(root / split / f"{prefix}{video}#0.png", video, num_frames, size)
    return root


def write_mp4(path, num_frames=4, size=16, fps=10):
    write_video(path, [frame(5, t, size) for t in range(num_frames)], fps=fps)


def shard_of(folder, paths, name="x.array_record-00000-of-00001"):
    return Shard(folder / name, tuple(map(Clip, paths)), first_video=7, frame_format=FrameFormat(8))


def write_odd_clips(folder):
    """A strip, what is no video, one that is not there, one of a single frame, and a folder with a broken frame."""
    write_strip(folder / "a#0.png", 1, num_frames=3)
    (folder / "bad.mp4").write_bytes(b"no video")
    write_strip(folder / "short.png", 2, num_frames=1)
    write_frames(folder / "b#0", 3, num_frames=4)
    (folder / "b#0" / "00001.png").write_bytes(b"no image")
    return [folder / name for name in ("a#0.png", "bad.mp4", "gone.gif", "short.png", "b#0")]


def records(shard):
    features = frame_features(8)
    return [features.deserialize_example_np(record) for record in ArrayRecordDataSource([str(shard.path)])]


def assert_same_records(one, other):
    assert read_contents(one) == dataclasses.replace(read_contents(other), digest=read_contents(one).digest)
    for a, b in zip(records(one), records(other), strict=True):
        assert (a["video"], a["frame"]) == (b["video"], b["frame"]) and (a["image"] == b["image"]).all()
