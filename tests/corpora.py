"""Small corpora on disk."""

from pathlib import Path

import numpy as np
from PIL import Image

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
