"""Metrics against hand-computed cases, scikit-image, the official definition, and their own algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motion_transformer_jax.evaluation.metrics import frame_metrics, l1, psnr, ssim

metrics = jax.jit(frame_metrics)
FRAMES = hnp.arrays(np.float32, (2, 12, 13, 3), elements=st.floats(0, 1, width=16))
few = settings(max_examples=20, deadline=None, derandomize=True)


def test_by_hand():
    truth = np.zeros((2, 11, 11, 3), np.float32)
    prediction = truth.copy()
    prediction[1] = 0.1
    prediction[0, 0, 0, 0] = 1
    actual = metrics(prediction, truth)
    np.testing.assert_allclose(actual["l1"], [1 / 363, 0.1], rtol=1e-6)
    np.testing.assert_allclose(actual["psnr"], [10 * np.log10(363), 20], rtol=1e-6)
    # Flat frames: only luminance differs.
    np.testing.assert_allclose(actual["ssim"][1], 1e-4 / (0.01 + 1e-4), atol=1e-5)


def test_l1_is_the_official_one_on_official_frames(golden):
    """The official reconstruction takes `abs(prediction - driving).mean()` of each frame, then the mean of all."""
    prediction = golden("fomm")["prediction_stride8"]
    driving = (golden("motion_transformer")["images"][::-1, ::8, ::8] / 255).astype(np.float32)
    official = np.mean([np.abs(one - other).mean() for one, other in zip(prediction, driving, strict=True)])
    assert official > 0.1
    np.testing.assert_allclose(metrics(prediction, driving)["l1"].mean(), official, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 11, 11, 3), (3, 32, 41, 3)])
@pytest.mark.parametrize("kind", ["noise", "smooth", "flat"])
def test_ssim_and_psnr_agree_with_scikit_image(shape, kind):
    reference = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    truth = rng.random(shape).astype(np.float32)
    if kind == "smooth":
        truth = (0.5 + 0.4 * np.sin(np.arange(shape[2])[None, None, :, None] / 3 + 9 * truth[:, :1, :1])) + 0 * truth
    if kind == "flat":
        truth = 0.9 + 0 * truth
    prediction = np.clip(truth + 0.05 * rng.normal(size=shape), 0, 1).astype(np.float32)
    truth = truth.astype(np.float32)
    actual = metrics(prediction, truth)
    for i, (one, other) in enumerate(zip(truth.astype(np.float64), prediction.astype(np.float64), strict=True)):
        options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1)
        assert abs(reference.structural_similarity(one, other, **options) - actual["ssim"][i]) < 1e-5
        assert abs(reference.peak_signal_noise_ratio(one, other, data_range=1.0) - actual["psnr"][i]) < 1e-4


@few
@given(FRAMES, FRAMES)
def test_symmetric_and_bounded(prediction, truth):
    forth, back = metrics(prediction, truth), metrics(truth, prediction)
    for name in forth:
        np.testing.assert_allclose(forth[name], back[name], rtol=1e-5, atol=1e-6)
    assert (forth["ssim"] <= 1 + 1e-5).all() and (forth["ssim"] >= -1).all()
    assert (forth["l1"] >= 0).all() and (forth["l1"] <= 1).all()
    # The mean square is at least the square of the mean.
    assert (forth["psnr"] <= -20 * jnp.log10(forth["l1"]) + 1e-3).all()


@few
@given(FRAMES)
def test_equal_frames(frames):
    actual = metrics(frames, frames)
    assert (actual["l1"] == 0).all() and jnp.isposinf(actual["psnr"]).all()
    np.testing.assert_allclose(actual["ssim"], 1, atol=1e-5)


@few
@given(FRAMES, FRAMES, st.floats(0.125, 1))
def test_scaling(prediction, truth, factor):
    whole, scaled = metrics(prediction, truth), metrics(factor * prediction, factor * truth)
    np.testing.assert_allclose(scaled["l1"], factor * whole["l1"], rtol=1e-4, atol=1e-7)
    differ = np.asarray(whole["l1"]) > 1e-3
    expected = np.asarray(whole["psnr"]) - 20 * np.log10(factor)
    np.testing.assert_allclose(np.asarray(scaled["psnr"])[differ], expected[differ], atol=1e-3)


def test_a_frame_does_not_depend_on_the_others():
    rng = np.random.default_rng(1)
    prediction, truth = rng.random((2, 3, 16, 16, 3)).astype(np.float32)
    together = frame_metrics(prediction, truth)
    alone = [frame_metrics(prediction[i : i + 1], truth[i : i + 1]) for i in range(3)]
    for name, values in together.items():
        np.testing.assert_allclose(values, np.concatenate([each[name] for each in alone]), rtol=1e-5)
    np.testing.assert_allclose(together["l1"], l1(prediction, truth))
    np.testing.assert_allclose(together["psnr"], psnr(prediction, truth))
    np.testing.assert_allclose(together["ssim"], ssim(prediction, truth))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected two arrays \[B, H, W, 3\]"):
        frame_metrics(np.zeros((1, 16, 16, 3)), np.zeros((2, 16, 16, 3)))
    with pytest.raises(ValueError, match="SSIM's window takes 11 x 11"):
        frame_metrics(np.zeros((1, 10, 16, 3)), np.zeros((1, 10, 16, 3)))
