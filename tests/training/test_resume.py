"""The real model, end to end: it trains, its checkpoints animate, and it resumes bit for bit."""

import json
import shutil

import jax
import numpy as np
import pytest

from motion_transformer_jax.configs import demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.training import loop
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.loop import train_and_evaluate
from motion_transformer_jax.training.parallel import create_mesh
from motion_transformer_jax.training.saved_config import load_config, save_config

pytestmark = pytest.mark.slow


def config_of(num_steps):
    config = demo.get_config("debug")
    config.data.puppet_identities = 8
    config.data.puppet_clips = 1
    config.data.puppet_frames = 4
    config.optimizer.ema_decay = 0.9
    config.train.num_steps = num_steps
    config.train.log_every_steps = 2
    config.train.validate_every_steps = 2
    config.train.picture_every_steps = 2
    config.train.checkpoint_every_steps = 2
    return config


def read_losses(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train/pairs_per_second"} for line in lines]


def assert_model_of_another_config_is_refused(folder):
    config = load_config(folder)
    config.model.num_keypoints = 6
    save_config(folder, config)
    with pytest.raises(UserError, match=r"checkpoints/4 has params/.* but the config makes .* restore its config.json"):
        load_variables(folder)


def test_resumes_bit_for_bit(tmp_path, monkeypatch):
    """A copy of a run's folder as it was after two of four steps goes on as the run itself did.

    On two devices: eight take longer to write their checkpoints.
    """
    monkeypatch.setattr(loop, "create_mesh", lambda: create_mesh(jax.devices()[:2]))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    state = train_and_evaluate(config_of(4), whole)
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "checkpoints" / "4")
    (parts / "samples" / "0000004.png").unlink()
    resumed = train_and_evaluate(config_of(4), parts)
    jax.tree.map(np.testing.assert_array_equal, resumed, state)
    assert read_losses(parts) == read_losses(whole)
    pictures = [(folder / "samples" / "0000004.png").read_bytes() for folder in (whole, parts)]
    assert pictures[0] == pictures[1]

    config, variables = load_variables(parts)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], state.ema_params)
    assert_model_of_another_config_is_refused(parts)
    image = np.zeros((1, 32, 32, 3), np.float32)
    motion = jax.eval_shape(lambda: create_animation_model(config).apply(variables, image, method="estimate"))
    assert motion.keypoints.shape == (1, 4, 2)
