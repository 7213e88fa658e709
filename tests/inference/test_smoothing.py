"""The one-euro filter's properties, and what it does to frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motion_transformer_jax.inference.animated_frame import DrivingFrame
from motion_transformer_jax.inference.smoothing import OneEuroFilter, smoothed
from motion_transformer_jax.models.motion import Motion

FPS = 25
points = hnp.arrays(np.float32, (8, 3, 2), elements=st.floats(-1, 1, width=32))
common = settings(max_examples=50, deadline=None)


def run(values, *, joint_axes=1, fps=FPS, **options):
    one = OneEuroFilter(fps, joint_axes=joint_axes, **options)
    return np.stack([one(value) for value in values])


@common
@given(points)
def test_the_first_comes_as_it_is_and_none_leaves_the_range_so_far(values):
    got = run(values)
    np.testing.assert_array_equal(got[0], values[0])
    low, high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    assert (got >= low - 1e-6).all() and (got <= high + 1e-6).all()


@common
@given(points, st.floats(-1, 1), st.floats(-np.pi, np.pi))
def test_place_and_direction_do_not_matter(values, shift, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    np.testing.assert_allclose(run(values @ turn + np.float32(shift)), run(values) @ turn + shift, atol=1e-4)


@common
@given(points)
def test_the_future_and_other_points_do_not_matter(values):
    got = run(values)
    np.testing.assert_array_equal(run(values[:5]), got[:5])
    np.testing.assert_array_equal(run(values[:, 1:]), got[:, 1:])


@given(st.floats(-1, 1, width=32))
def test_what_rests_stays(value):
    np.testing.assert_array_equal(run(np.full((6, 1, 2), value, np.float32)), np.float32(value))


def test_jitter_at_rest_is_halved():
    jitter = 0.005 * np.random.default_rng(0).standard_normal((500, 10, 2)).astype(np.float32)
    assert run(jitter)[25:].std() < 0.55 * jitter.std()


def test_a_talking_mouth_passes():
    """Five per cent of the frame, four times a second: little smaller, and late by less than a frame."""
    seconds = np.arange(100) / FPS
    mouth = (0.05 * np.sin(8 * np.pi * seconds)).astype(np.float32)
    got = run(np.stack([0 * mouth, mouth], -1)[:, None])[25:, 0, 1]
    before, after = (np.sum(wave * np.exp(-8j * np.pi * seconds[25:])) for wave in (mouth[25:], got))
    assert abs(after) > 0.8 * abs(before)
    assert 0 < np.angle(before / after) < 8 * np.pi / FPS


def test_a_jump_is_followed_within_a_fifth_of_a_second():
    for fps in (12.5, 25, 50):
        values = np.zeros((int(fps), 1, 2), np.float32)
        values[1:] = 0.5
        assert (np.abs(run(values, fps=fps)[round(fps / 5) + 1 :] - 0.5) < 0.05).all()


def test_a_matrix_that_changes_its_sign_is_taken_as_new():
    values = np.stack([np.eye(2), np.eye(2), -np.eye(2), -1.1 * np.eye(2)]).astype(np.float32)
    got = run(values, joint_axes=2)
    np.testing.assert_array_equal(got[2], values[2])
    still = run(np.stack([np.eye(2), np.eye(2), np.eye(2), 1.1 * np.eye(2)]).astype(np.float32), joint_axes=2)
    np.testing.assert_allclose(got[3], -still[3], atol=1e-6)  # the jump left no speed behind


@pytest.mark.parametrize("regions", [False, True])
def test_frames_keep_all_but_their_jitter(regions):
    rng = np.random.default_rng(0)
    keypoints = rng.normal(0, 0.01, (20, 1, 4, 2)).astype(np.float32)
    affine = (np.eye(2) + rng.normal(0, 0.01, (20, 1, 4, 2, 2))).astype(np.float32)
    frames = [
        DrivingFrame(Motion(points, matrices, matrices if regions else None), np.full((2, 2, 3), index, np.uint8))
        for index, (points, matrices) in enumerate(zip(keypoints, affine, strict=True))
    ]
    got = list(smoothed(iter(frames), FPS))
    assert [frame.image[0, 0, 0] for frame in got] == list(range(20))
    np.testing.assert_array_equal([frame.motion.keypoints for frame in got], run(keypoints))
    np.testing.assert_array_equal([frame.motion.affine for frame in got], run(affine, joint_axes=2, per_speed=3))
    for frame in got:
        assert (frame.motion.covariance is not None) == regions
        if regions:
            np.testing.assert_array_equal(frame.motion.covariance, frame.motion.affine)
    assert list(smoothed([], FPS)) == []
