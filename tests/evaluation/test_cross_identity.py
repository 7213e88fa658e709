"""The grid's choice, and the alignment that makes motions of different figures comparable."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.detection.detectors import Detectors, Keypoints
from motion_transformer_jax.evaluation.cross_identity import align, animate_pairs, choose_grid
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.video_measure import Detections


def keypoints(points, visible=None) -> Keypoints:
    points = np.asarray(points, np.float32)
    return Keypoints(points, np.ones(points.shape[:2], bool) if visible is None else np.asarray(visible))


def test_grid_combines_sources_and_drivers_of_other_identities():
    names = [f"id{i // 2}#{i % 2}" for i in range(14)]
    pairs = choose_grid(names, 3, seed=0)
    assert len(set(pairs)) == 9
    sources, drivers = ({identity(names[pair[side]]) for pair in pairs} for side in (0, 1))
    assert len(sources) == len(drivers) == 3
    assert not sources & drivers
    assert pairs == choose_grid(names, 3, seed=0)
    assert pairs != choose_grid(names, 3, seed=1)


@pytest.mark.parametrize(("identities", "pairs"), [(1, 0), (2, 1), (3, 1), (5, 4)])
def test_grid_shrinks_with_the_identities(identities, pairs):
    assert len(choose_grid([f"id{i}" for i in range(identities)], 3, seed=0)) == pairs


@given(st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 100))
def test_alignment_removes_place_and_size(scale, dx, dy, seed):
    points = np.random.default_rng(seed).normal(0, 20, (2, 5, 2))
    result = keypoints(points)
    moved = keypoints(points * scale + (dx, dy))
    np.testing.assert_allclose(align(moved, result).points, result.points, atol=0.01)


def test_alignment_keeps_the_pose():
    """A turned figure stays turned: hand-computed, about the mean, at the result's size."""
    driving = keypoints([[[0, 0], [2, 0]]])
    result = keypoints([[[5, 4], [5, 6]]])
    np.testing.assert_allclose(align(driving, result).points, [[[4, 5], [6, 5]]])


def test_alignment_looks_only_at_what_both_have():
    driving = keypoints([[[0, 0], [2, 0], [100, 100]], [[0, 0], [2, 0], [9, 9]]], [[1, 1, 0], [1, 0, 0]])
    result = keypoints([[[0, 0], [4, 0], [50, 50]], [[0, 0], [4, 0], [9, 9]]], [[1, 1, 1], [1, 1, 1]])
    driving = Keypoints(driving.points, driving.visible.astype(bool))
    aligned = align(driving, Keypoints(result.points, result.visible.astype(bool)))
    np.testing.assert_array_equal(aligned.visible, [[True, True, False], [False, False, False]])
    np.testing.assert_allclose(aligned.points[0, :2], [[0, 0], [4, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("pairs", "rows", "columns"),
    [
        ([(source, driver) for source in range(7) for driver in (7, 6)], 7, 3),  # a grid, seven of whose rows are shown
        ([(0, 1), (2, 3), (0, 1)], 2, 3),  # source, driving, result
        ([(i, (i + 1) % 8) for i in range(8)] + [(i, (i + 2) % 8) for i in range(8)] + [(0, 3)], 16, 3),
        ([(0, 1)], 2, 2),
    ],
)
def test_pairs_are_shown_as_a_grid_or_a_list_in_each_mode(tmp_path, pairs, rows, columns):
    size, asked = 16, []
    videos = create_videos(
        "train", kind="puppets", image_size=size, puppet_identities=8, puppet_clips=1, puppet_frames=2
    )
    test_set = TestSet("puppets", "train", size, videos)

    def animate(source, driver, *, mode):
        asked.append(mode)
        return [source for _ in driver]

    animator = types.SimpleNamespace(animate=animate, has_disentangler=True)
    truth = types.SimpleNamespace(detections=lambda index: Detections())
    (tmp_path / "x").mkdir()
    _, sheets = animate_pairs(animator, test_set, pairs, Detectors(None, None), truth, tmp_path, "x")
    assert list(dict.fromkeys(asked)) == ["relative", "absolute", "avd"]
    assert len(asked) == 3 * len(pairs)
    for path in sheets.values():
        shown = list(read_frames((tmp_path / path).with_suffix(".mp4")))
        assert [frame.shape for frame in shown] == [(rows * size, columns * size, 3)] * 2
