"""Averages between logs, and the files that they are written to."""

import json
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.metrics import MetricWindow, MetricWriter


def test_window_averages_and_empties_itself():
    window = MetricWindow()
    for step, value in enumerate([1.0, 2.0, 6.0], start=1):
        window.add(step, {"perceptual": jnp.float32(value), "gradient_norm/generator": jnp.float32(-value)})
    assert window.flush(3) == {"train/loss/perceptual": 3.0, "train/gradient_norm/generator": -3.0}
    window.add(4, {"perceptual": jnp.float32(5.0), "gradient_norm/generator": jnp.float32(0.0)})
    assert window.flush(4)["train/loss/perceptual"] == 5.0


def test_window_is_restored_exactly():
    values = np.random.default_rng(0).normal(size=7).astype(np.float32)
    whole, first = MetricWindow(), MetricWindow()
    for step, value in enumerate(values, start=1):
        whole.add(step, {"total": jnp.float32(value)})
        if step <= 3:
            first.add(step, {"total": jnp.float32(value)})
    second = MetricWindow(json.loads(json.dumps(first.save())))
    for step, value in enumerate(values[3:], start=4):
        second.add(step, {"total": jnp.float32(value)})
    assert second.flush(7) == whole.flush(7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_window_names_what_is_not_finite(value):
    window = MetricWindow()
    for step in (11, 12, 13):
        window.add(step, {"total": jnp.float32(1.0), "mask": jnp.float32(value if step == 12 else 1.0)})
    with pytest.raises(UserError, match=f"mask became {value} in steps 11 to 13"):
        window.flush(13)


def test_writer_goes_on_after_a_step(tmp_path):
    with MetricWriter(tmp_path, step=0) as writer:
        for step in (1, 2, 3):
            writer.write(step, {"a": step / 3})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "a"')
    with MetricWriter(tmp_path, step=2) as writer:
        writer.write(3, {"a": 7.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "a": 1 / 3}, {"step": 2, "a": 2 / 3}, {"step": 3, "a": 7.0}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_tensorboard_where_tensorflow_is_installed(tmp_path, monkeypatch):
    """With a stand-in for TensorFlow and clu's writer, which cannot be imported without it."""
    calls = []

    class SummaryWriter:
        def __init__(self, folder):
            calls.append(("open", folder))

        def write_scalars(self, step, scalars):
            calls.append(("scalars", step, scalars))

        def write_images(self, step, images):
            calls.append(("images", step, {name: image.shape for name, image in images.items()}))

        def flush(self):
            calls.append(("flush",))

        def close(self):
            calls.append(("close",))

    tensorflow = types.ModuleType("tensorflow")
    tensorflow.__spec__ = types.SimpleNamespace()
    tensorflow.config = types.SimpleNamespace(set_visible_devices=lambda *a: calls.append(("visible", *a)))
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    module = types.ModuleType("clu.metric_writers")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "clu.metric_writers", module)
    monkeypatch.setattr("clu.metric_writers", module, raising=False)
    with MetricWriter(tmp_path, step=0) as writer:
        writer.write(5, {"a": 1.0})
        writer.write_picture(5, "samples", np.zeros((4, 6, 3), np.uint8))
    assert calls == [
        ("visible", [], "GPU"),
        ("open", str(tmp_path / "tensorboard")),
        ("scalars", 5, {"a": 1.0}),
        ("flush",),
        ("images", 5, {"samples": (1, 4, 6, 3)}),
        ("close",),
    ]


def test_without_tensorflow_pictures_are_left_to_the_samples_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with MetricWriter(tmp_path, step=0) as writer:
        writer.write_picture(5, "samples", np.zeros((4, 6, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
