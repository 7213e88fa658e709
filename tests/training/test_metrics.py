"""Averages between logs, and the files that they are written to."""

import json
import sys
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.finite import SKIPPED
from motion_transformer_jax.training.metrics import MetricWindow, MetricWriter


def step_metrics(skipped=0.0, **values):
    return {name: jnp.float32(value) for name, value in values.items()} | {SKIPPED: jnp.float32(skipped)}


def test_window_averages_and_empties_itself():
    window = MetricWindow()
    for value in (1.0, 2.0, 6.0):
        window.add(step_metrics(perceptual=value) | {"gradient_norm/generator": jnp.float32(-value)})
    means = {"train/loss/perceptual": 3.0, "train/gradient_norm/generator": -3.0, "train/update/skipped": 0.0}
    assert window.flush() == means
    window.add(step_metrics(perceptual=5.0))
    assert window.flush() == {"train/loss/perceptual": 5.0, "train/update/skipped": 0.0}


def test_window_is_restored_exactly():
    values = np.random.default_rng(0).normal(size=7).astype(np.float32)
    whole, first = MetricWindow(), MetricWindow()
    for index, value in enumerate(values):
        whole.add(step_metrics(total=value))
        if index < 3:
            first.add(step_metrics(total=value))
    second = MetricWindow(json.loads(json.dumps(first.save())))
    for value in values[3:]:
        second.add(step_metrics(total=value))
    assert second.flush() == whole.flush()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bad", [0, 2])
def test_skipped_steps_enter_no_mean(value, bad):
    window = MetricWindow()
    for index in range(4):
        window.add(step_metrics(skipped=1.0, total=value) if index == bad else step_metrics(total=2.0))
    assert window.flush() == {"train/loss/total": 2.0, "train/update/skipped": 0.25}
    window.add(step_metrics(skipped=1.0, total=value))
    assert window.flush() == {"train/update/skipped": 1.0}


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


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    message = r"cannot write .*metrics\.jsonl \(No space left on device\)"
    with MetricWriter(tmp_path, step=0) as writer, Path("/dev/full").open("a") as full:
        writer._file.close()
        monkeypatch.setattr(writer, "_file", full)
        with pytest.raises(UserError, match=message):
            writer.write(1, {"train/loss/total": 1.0})
        writer.close()


def test_lines_that_are_no_text_are_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe{"step": 2}\n{"step": 3}\n')
    MetricWriter(tmp_path, step=2).close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


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
