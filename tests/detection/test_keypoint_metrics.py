"""AKD, MKR and AED: by hand, and by the formulae of pose-evaluation told once more."""

import numpy as np
import pytest

from motion_transformer_jax.detection.detectors import Embeddings, Keypoints
from motion_transformer_jax.detection.keypoint_metrics import identity_distances, keypoint_distances


def keypoints(points, visible):
    points, visible = np.array(points, np.float32), np.array(visible, bool)
    return Keypoints(points * visible[..., None], visible)


def test_distances_by_hand():
    truth = keypoints(
        [
            [[0, 0], [10, 10], [20, 20]],  # all there
            [[0, 0], [10, 10], [20, 20]],  # the result misses one
            [[0, 0], [10, 10], [20, 20]],  # the truth misses two, the result the third
            [[0, 0], [10, 10], [20, 20]],  # the truth has none
        ],
        [[1, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]],
    )
    found = keypoints(
        [
            [[3, 4], [10, 10], [20, 17]],
            [[1, 1], [99, 99], [20, 26]],
            [[5, 5], [5, 5], [5, 5]],
            [[5, 5], [5, 5], [5, 5]],
        ],
        [[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1]],
    )
    distances, missing_rates = keypoint_distances(truth, found)
    # Of x and y alike: (3, 4) is 3.5 away, not 5.
    np.testing.assert_allclose(distances, [10 / 6, 8 / 4])
    np.testing.assert_allclose(missing_rates, [0, 1 / 3, 1])


def test_distances_are_the_scripts():
    """Its arrays have -1 for x and y of a missing joint."""
    random = np.random.default_rng(0)
    truth, found = random.uniform(0, 256, (2, 50, 18, 2)).astype(np.float32)
    truth[random.random((50, 18)) < 0.5] = -1
    found[random.random((50, 18)) < 0.5] = -1
    truth[7] = found[9] = -1
    scores, missing = [], []
    for expected, predicted in zip(truth, found, strict=True):
        there = [joint for joint in range(18) if expected[joint][0] != -1]
        lost = [joint for joint in there if predicted[joint][0] == -1]
        kept = [joint for joint in there if joint not in lost]
        if there:
            missing.append(len(lost) / len(there))
        if kept:
            scores.append(sum(abs(expected[j][i] - predicted[j][i]) for j in kept for i in (0, 1)) / (2 * len(kept)))
    ours = keypoint_distances(
        *(Keypoints(np.where(a == -1, 0, a), np.asarray(a[..., 0] != -1)) for a in (truth, found))
    )
    assert len(scores) < len(missing) < 50
    np.testing.assert_allclose(ours[0], scores, rtol=1e-6)
    np.testing.assert_allclose(ours[1], missing)


def test_what_invisible_points_hold_does_not_count():
    truth = keypoints(np.zeros((1, 2, 2)), [[1, 1]])
    found = Keypoints(np.array([[[1, 1], [np.nan, np.nan]]], np.float32), np.array([[True, False]]))
    distances, missing_rates = keypoint_distances(truth, found)
    assert (distances.tolist(), missing_rates.tolist()) == ([1.0], [0.5])


def test_identities_by_hand_and_by_the_script():
    truth = Embeddings(np.array([[0, 0], [1, 2], [3, 4], [9, 9]], np.float32), np.array([1, 1, 1, 0], bool))
    found = Embeddings(np.array([[3, 4], [1, 2], [9, 9], [3, 4]], np.float32), np.array([1, 1, 0, 1], bool))
    np.testing.assert_allclose(identity_distances(truth, found), [25, 0])  # squared: 25, not 5
    vectors = np.random.default_rng(0).normal(size=(2, 6, 128)).astype(np.float32)
    everywhere = np.ones(6, bool)
    ours = identity_distances(Embeddings(vectors[0], everywhere), Embeddings(vectors[1], everywhere))
    np.testing.assert_allclose(ours, [np.dot(a - b, a - b) for a, b in zip(*vectors, strict=True)], rtol=1e-6)


def test_nothing_found_and_nothing_given():
    nothing = keypoints(np.zeros((3, 5, 2)), np.zeros((3, 5)))
    assert [part.shape for part in keypoint_distances(nothing, nothing)] == [(0,), (0,)]
    empty = keypoints(np.zeros((0, 5, 2)), np.zeros((0, 5)))
    assert [part.shape for part in keypoint_distances(empty, empty)] == [(0,), (0,)]
    nobody = Embeddings(np.zeros((3, 4), np.float32), np.zeros(3, bool))
    assert identity_distances(nobody, nobody).shape == (0,)


def test_other_numbers_of_frames_points_or_components():
    with pytest.raises(ValueError, match=r"\(2, 5, 2\) cannot be compared with the truth's \(3, 5, 2\)"):
        keypoint_distances(
            keypoints(np.zeros((3, 5, 2)), np.ones((3, 5))), keypoints(np.zeros((2, 5, 2)), np.ones((2, 5)))
        )
    with pytest.raises(ValueError, match="cannot be compared"):
        identity_distances(
            Embeddings(np.zeros((1, 4), np.float32), np.ones(1, bool)),
            Embeddings(np.zeros((1, 1), np.float32), np.ones(1, bool)),
        )
