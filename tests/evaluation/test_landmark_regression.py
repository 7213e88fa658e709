"""The regression against hand-computed cases and an independent formulation."""

import numpy as np
import pytest

from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.evaluation.landmark_regression import (
    figure_sizes,
    fit_ridge,
    measure_regression,
    motion_features,
    regression_errors,
)
from motion_transformer_jax.models.motion import Motion

RNG = np.random.default_rng(0)


def test_a_small_case_by_hand():
    """One feature, 0 and 2; a joint at x 1 and 5: slope 4 / 2, shrunk by variance / (variance + strength) = 1 / 2."""
    features, joints = np.array([[0.0], [2.0]]), np.array([[[1.0, 7.0]], [[5.0, 7.0]]])
    regression = fit_ridge(features, joints, np.ones((2, 1), bool), strength=1.0)
    np.testing.assert_allclose(regression.weights, [[[1, 0]]], atol=1e-12)
    np.testing.assert_allclose(regression.offset, [[2, 7]])
    np.testing.assert_allclose(regression.mean_joints, [[3, 7]])
    np.testing.assert_allclose(regression.predict(np.array([[3.0]])), [[[5, 7]]])


def test_exact_linear_maps_are_recovered():
    features = RNG.normal(size=(50, 6))
    weights, offset = RNG.normal(size=(3, 6, 2)), RNG.normal(size=(3, 2))
    joints = np.einsum("tf,jfc->tjc", features, weights) + offset
    regression = fit_ridge(features, joints, np.ones((50, 3), bool), strength=1e-12)
    np.testing.assert_allclose(regression.weights, weights, atol=1e-9)
    np.testing.assert_allclose(regression.offset, offset, atol=1e-9)
    np.testing.assert_allclose(regression.predict(features), joints, atol=1e-9)


@pytest.mark.parametrize("strength", [1e-6, 0.03, 2.0])
@pytest.mark.parametrize("frames", [30, 4])  # more and fewer than features
def test_the_minimum_is_that_of_augmented_least_squares(strength, frames):
    """Ridge as plain least squares: rows sqrt(N strength) e_f with target 0 beside the data, a column of ones."""
    features, joints = RNG.normal(size=(frames, 5)), RNG.normal(size=(frames, 1, 2))
    regression = fit_ridge(features, joints, np.ones((frames, 1), bool), strength=strength)
    rows = np.block([[features, np.ones((frames, 1))], [np.sqrt(frames * strength) * np.eye(5), np.zeros((5, 1))]])
    solution, *_ = np.linalg.lstsq(rows, np.concatenate([joints[:, 0], np.zeros((5, 2))]), rcond=None)
    np.testing.assert_allclose(regression.weights[0], solution[:5], atol=1e-7)
    np.testing.assert_allclose(regression.offset[0], solution[5], atol=1e-7)


def test_hidden_joints_are_ignored():
    features, joints = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2, 2))
    visible = np.ones((20, 2), bool)
    visible[12:, 1] = False
    wild = joints.copy()
    wild[12:, 1] = np.nan
    regression = fit_ridge(features, wild, visible, strength=0.1)
    alone = fit_ridge(features[:12], joints[:12, 1:], np.ones((12, 1), bool), strength=0.1)
    np.testing.assert_allclose(regression.weights[1], alone.weights[0])
    np.testing.assert_allclose(regression.mean_joints[1], joints[:12, 1].mean(0))
    whole = fit_ridge(features, joints, np.ones((20, 2), bool), strength=0.1)
    np.testing.assert_allclose(regression.weights[0], whole.weights[0])
    errors = regression_errors(joints, wild, visible, image_size=64)
    assert errors["error_px"].value == 0 and errors["error_px"].count == 32
    moved = joints + np.where(visible, 0, 9)[..., None]
    assert regression_errors(moved, joints, visible, image_size=64) == regression_errors(
        joints, joints, visible, image_size=64
    )


def test_a_joint_that_was_never_seen_is_left_out():
    features, joints = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2, 2))
    visible = np.array([[True, False]] * 5)
    regression = fit_ridge(features, joints, visible, strength=0.1)
    assert np.isnan(regression.predict(features)[:, 1]).all()
    errors = regression_errors(regression.predict(features), joints, np.ones((5, 2), bool), image_size=64)
    assert errors["error_px"].count == 5 and np.isfinite(errors["error_px"].value)


def test_errors_by_hand():
    """A figure of 6 by 8 pixels: its diagonal is 10; one joint is off by (3, 4) pixels, one by nothing."""
    unit = 2 / 63  # one pixel of 64
    joints = np.array([[[0, 0], [6, 8], [50, 50]]]) * unit
    visible = np.array([[True, True, False]])
    np.testing.assert_allclose(figure_sizes(joints, visible), 10 * unit)
    predicted = joints + np.array([[3, 4], [0, 0], [30, 0]]) * unit
    errors = regression_errors(predicted, joints, visible, image_size=64)
    assert errors["error_px"].count == 2 and errors["error_px"].unit == "joints"
    np.testing.assert_allclose([errors[name].value for name in ("error_px", "error_share")], [2.5, 0.25])
    lonely = regression_errors(predicted, joints, np.array([[True, False, False]]), image_size=64)
    assert lonely["error_px"].count == 1 and lonely["error_share"].count == 0
    nothing = regression_errors(predicted, joints, np.zeros((1, 3), bool), image_size=64)
    assert np.isnan(nothing["error_px"].value) and nothing["error_px"].count == 0


def test_affines_are_features_when_asked():
    motion = Motion(RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 4, 2, 2)))
    assert motion_features(motion).shape == (3, 8)
    np.testing.assert_array_equal(motion_features(motion, with_affine=True)[:, 8:], motion.affine.reshape(3, 16))


def test_splits_are_run_through_the_model_and_compared_with_the_mean():
    options = dict(kind="puppets", image_size=16, puppet_identities=4, puppet_clips=4, puppet_frames=5)
    train, test = (create_videos(split, **options) for split in ("train", "test"))
    truth = {
        videos.frame(video, t).tobytes(): videos.annotations(video)[0][t]
        for videos in (train, test)
        for video in range(len(videos.names))
        for t in range(5)
    }
    seen = []

    def knows_joints(frames):
        """Keypoints at the true joints but turned, mirrored and moved."""
        for frame in frames:
            seen.append(frame)
            keypoints = truth[frame.tobytes()][None] @ np.array([[0.1, 0.7], [0.9, -0.2]]) + 0.3
            yield Motion(keypoints, np.zeros((1, 15, 2, 2)))

    errors = measure_regression(knows_joints, train, test, frames_per_video=4, strength=1e-9)
    assert len(seen) == 16 * 4 + 4 * 4
    assert errors["error_px"].value < 0.01 < errors["training_mean_px"].value
    shown = sum(int(test.annotations(video)[1][[0, 1, 3, 4]].sum()) for video in range(4))
    assert {figure.count for figure in errors.values()} == {shown}
    blind = measure_regression(
        lambda frames: (Motion(np.zeros((1, 3, 2)), np.zeros((1, 3, 2, 2))) for _ in frames),
        train,
        test,
        frames_per_video=99,
        strength=0.1,
    )
    assert blind["error_px"] == blind["training_mean_px"] and blind["error_share"] == blind["training_mean_share"]


def test_bad_arguments_are_refused():
    features, joints, visible = np.zeros((3, 2)), np.zeros((3, 1, 2)), np.ones((3, 1), bool)
    with pytest.raises(ValueError, match="strength=0: expected more than 0"):
        fit_ridge(features, joints, visible, strength=0)
    with pytest.raises(ValueError, match="2 rows of features, 3 of joints"):
        fit_ridge(features[:2], joints, visible, strength=1)
