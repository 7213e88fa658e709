"""The reference loader does what the official one does."""

import jax
import numpy as np
import pytest
from corpora import write_frames
from PIL import Image

from motion_transformer_jax.benchmarks.plain_loader import PlainPairs
from motion_transformer_jax.data.augment import Augmentation
from motion_transformer_jax.ops import color


@pytest.fixture
def folder(tmp_path):
    for video in (3, 5):
        write_frames(tmp_path / f"v{video}", video, num_frames=4)
    return tmp_path


def test_pairs_are_of_one_video_and_sorted_in_time(folder):
    batch = PlainPairs(folder, Augmentation()).batch(40)
    source, driving = (np.round(255 * batch[name][:, :, 0, 0]).astype(int) for name in ("source", "driving"))
    assert batch["source"].shape == (40, 3, 8, 8) and batch["source"].dtype == np.float32
    np.testing.assert_array_equal(source[:, 0], driving[:, 0])
    assert set(source[:, 0]) == {30, 50} and np.all(source[:, 1] <= driving[:, 1])
    flipped = PlainPairs(folder, Augmentation(time_flip=True)).batch(40)
    assert 0.2 < np.mean(flipped["source"][:, 1, 0, 0] > flipped["driving"][:, 1, 0, 0]) < 0.6


@pytest.mark.parametrize(
    ("name", "amount"), [("brightness", 0.3), ("saturation", 0.9), ("contrast", 0.5), ("hue", 0.3)]
)
def test_colours_are_ours_but_for_rounding(folder, name, amount, monkeypatch):
    """At the end of the range, where the draw is known."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), np.uint8)
    for file in folder.rglob("*.png"):
        Image.fromarray(image).save(file)
    loader = PlainPairs(folder, Augmentation(**{name: amount}))
    monkeypatch.setattr(loader._random, "uniform", lambda low, high: high)
    actual = loader.batch(1)["source"][0].transpose(1, 2, 0)
    adjust = getattr(color, f"adjust_{name}")
    expected = jax.jit(adjust)(image / np.float32(255), amount if name == "hue" else 1 + amount)
    np.testing.assert_allclose(actual, expected, atol=12 / 255 if name == "hue" else 2.1 / 255)  # hue of 8 bits
