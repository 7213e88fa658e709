import json

import av
import jax
import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax import demo
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.training import loop
from motion_transformer_jax.training.parallel import create_mesh


@pytest.mark.slow
def test_the_demo_writes_all_it_promises_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "EVALUATION_PAIRS", 2 * demo.EVALUATION_BATCH)
    monkeypatch.setattr(loop, "create_mesh", lambda: create_mesh(jax.devices()[:1]))
    out = tmp_path / "demo"
    argv = ["--out", str(out), "--variant", "debug", "--config.data.puppet_frames=6", "--config.train.num_steps"]
    assert run_command(demo.main, [*argv[:-1], f"{argv[-1]}=2"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["l1 / l1_copy_source"] == pytest.approx(metrics["l1"] / metrics["l1_copy_source"])
    assert 0 < metrics["l1"] < 1
    with av.open(str(out / "animation.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 6
    assert frames[0].shape == (demo.CELL_PX, 3 * demo.CELL_PX, 3)
    sheet = np.asarray(Image.open(out / "sheet.png"))
    assert sheet.shape[1] > 6 * demo.CELL_PX
    assert "of copying the source" in capsys.readouterr().out

    assert run_command(demo.main, [*argv[:-1], f"{argv[-1]}=3"]) == 0
    steps = [json.loads(line)["step"] for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 3


def test_source_and_driving_figure_are_different_identities():
    assert demo.choose_clips(["id1#wave-0", "id1#walk-1", "id3#squat-0", "id3#squat-1"]) == (2, 0)
    assert demo.choose_clips(["id1#wave-0", "id1#squat-1", "id3#turn-0", "id3#squat-1"]) == (3, 1)
