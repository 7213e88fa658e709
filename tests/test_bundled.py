"""The model and the examples that come with the package."""

import jax
import numpy as np
import pytest

from motion_transformer_jax import animate
from motion_transformer_jax.bundled import bundled_names, run_folder
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.pairs import validation_pairs
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.landmark_pretraining import create_landmark_eval_step
from motion_transformer_jax.training.step import create_eval_step

pytestmark = pytest.mark.slow


def test_one_small_model():
    assert bundled_names() == ["puppets"]
    assert sum(path.stat().st_size for path in run_folder("puppets").iterdir()) < 12e6


def test_it_moves_held_out_puppets_and_knows_where_their_parts_are():
    config, variables = load_variables("puppets")
    of_puppets = {name: value for name, value in config.data.items() if name.startswith("puppet_")}
    videos = create_videos("test", kind="puppets", image_size=config.model.image_size, seed=config.seed, **of_puppets)
    [batch] = validation_pairs(videos, num_pairs=32, batch_size=32, joints=True, seed=1)
    errors = jax.device_get(create_eval_step(config)(variables, batch))
    assert errors["l1"] < 0.5 * errors["l1_copy_source"]
    assert create_landmark_eval_step(config)(variables, batch)["l1"] < 0.06


def test_bfloat16_moves_them_alike():
    config, variables = load_variables("puppets")
    narrow = config.copy_and_resolve_references()
    with narrow.unlocked():
        narrow.dtype = "bfloat16"
    size = config.model.image_size
    puppets = PuppetVideos(split="test", num_identities=2, clips_per_identity=1, size=size, num_frames=16)
    driving = [puppets.frame(1, t) for t in (0, 5, 10, 15)]
    wide, half = (
        np.stack(list(Animator(c, variables).animate(puppets.frame(0, 0), driving, mode="relative"))).astype(int)
        for c in (config, narrow)
    )
    assert 0 < np.abs(wide - half).mean() < 1 < np.abs(wide - wide[0]).mean()  # levels of 255


def test_the_command_without_arguments_animates_an_example(tmp_path, capsys):
    out = tmp_path / "result.mp4"
    assert run_command(animate.main, ["--out", str(out), "--end", "0.4"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 10 frames")
    frames = np.stack(list(read_frames(out))).astype(float)
    assert frames.shape == (10, 128, 128, 3)
    moved = np.abs(frames[-1] - frames[0]).mean(axis=-1)
    assert 0.005 < (moved > 40).mean() < 0.3  # something does, and not all
