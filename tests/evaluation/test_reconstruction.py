"""Self-reconstruction: the whole model, as training's validation runs it, streamed in batches."""

import jax
import numpy as np
import pytest
from tiny_model import random_frames, random_variables, tiny_config, tiny_variables

from motion_transformer_jax.configs import demo
from motion_transformer_jax.evaluation.reconstruction import Reconstructor
from motion_transformer_jax.training.step import create_reconstruct


def mraa_config():
    """The system with a background predictor."""
    return demo.get_config("mraa,debug")


@pytest.mark.parametrize("make_config", [tiny_config, mraa_config])
def test_agrees_with_the_pairwise_model(make_config):
    config = make_config()
    variables = tiny_variables() if make_config is tiny_config else random_variables(config)
    frames = random_frames(5)
    result = list(Reconstructor(config, variables, batch_size=2).reconstruct(iter(frames)))
    sources = np.repeat(frames[:1], 5, axis=0)
    expected = jax.device_get(create_reconstruct(config)(variables, sources, frames)).prediction
    np.testing.assert_array_equal([frame.driving for frame in result], frames)
    np.testing.assert_allclose([frame.prediction for frame in result], 255 * expected.clip(0, 1), atol=0.51)
    l1 = np.abs(expected - frames / 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose([frame.metrics["l1"] for frame in result], l1, rtol=1e-4)


def test_a_videos_source_is_its_own():
    reconstructor = Reconstructor(tiny_config(), tiny_variables(), batch_size=2)
    first, second = random_frames(3), random_frames(3, seed=1)
    alone = [frame.metrics for frame in reconstructor.reconstruct(second)]
    list(reconstructor.reconstruct(first))
    assert [frame.metrics for frame in reconstructor.reconstruct(second)] == alone


def test_no_frames_give_none():
    assert list(Reconstructor(tiny_config(), tiny_variables()).reconstruct([])) == []
