"""The detector against true joints: clean, hidden, blurred and compressed, at several sizes."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from motion_transformer_jax.data.puppet_markers import MARKED_JOINTS, MARKER_COLOURS, MARKER_RADIUS, draw_markers
from motion_transformer_jax.data.puppets import JOINTS, PuppetVideos
from motion_transformer_jax.detection.puppet_markers import MarkerDetector, true_keypoints

detector = MarkerDetector()


def frames_and_truth(size, identities=6):
    videos = PuppetVideos(
        4, split="test", num_identities=identities, clips_per_identity=5, num_frames=3, size=size, markers=True
    )
    clips = list(videos)
    joints, visible = (np.concatenate([getattr(clip, name) for clip in clips]) for name in ("joints", "visible"))
    return np.concatenate([clip.frames for clip in clips]), true_keypoints(joints, visible, size)


@pytest.fixture(scope="module")
def small():
    return frames_and_truth(64)


def scores(found, truth):
    """Shares of the visible markers that were found and of the hidden ones that were "found"; errors in pixels."""
    both = found.visible & truth.visible
    errors = np.linalg.norm(found.points - truth.points, axis=-1)[both]
    return found.visible[truth.visible].mean(), found.visible[~truth.visible].mean(), errors


@pytest.mark.parametrize("size", [64, 90, 160])
def test_markers_of_clean_frames_are_found_to_a_fraction_of_a_pixel(size):
    frames, truth = frames_and_truth(size, identities=2)
    found, false, errors = scores(detector.detect(frames), truth)
    assert found > 0.99 and false < 0.15
    assert np.median(errors) < 0.15 and (errors < MARKER_RADIUS * size / 2).mean() > 0.995


@pytest.mark.parametrize("damage", ["blur", "jpeg"])
def test_most_survive_blur_and_compression(small, damage):
    frames, truth = small
    damaged = np.stack([_blur(frame) if damage == "blur" else _compress(frame) for frame in frames])
    found, false, errors = scores(detector.detect(damaged), truth)
    assert found > 0.94 and false < 0.1
    assert np.median(errors) < 0.35


def _blur(frame):
    return ndimage.gaussian_filter(frame.astype(np.float32), (1, 1, 0)).round().astype(np.uint8)


def _compress(frame):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def test_a_puppet_without_markers_has_hardly_any():
    videos = PuppetVideos(4, split="test", num_identities=6, clips_per_identity=1, num_frames=1, size=64)
    frames = np.concatenate([clip.frames for clip in videos])
    assert detector.detect(frames).visible.mean() < 0.15


def test_points_lie_on_the_pixel_grid_and_those_of_missing_ones_are_zero():
    """One disc, at (40.25, 22.5) pixels of 80, on grey."""
    canvas, joint = np.full((80, 80, 3), 0.5, np.float32), MARKED_JOINTS[7]
    places, visible = np.zeros((len(JOINTS), 3)), np.arange(len(JOINTS)) == joint
    places[joint, :2] = (np.array([40.25, 22.5]) + 0.5) / 40 - 1
    draw_markers(canvas, places, visible)
    frame = (canvas * 255).round().astype(np.uint8)
    found = detector.detect(frame[None])
    assert found.points.dtype == np.float32 and found.visible.dtype == bool
    np.testing.assert_array_equal(found.visible, [np.arange(len(MARKED_JOINTS)) == 7])
    np.testing.assert_allclose(found.points[0, 7], [40.25, 22.5], atol=0.1)
    assert not np.delete(found.points, 7, axis=1).any()
    joints = (2 * np.array([40.25, 22.5]) / 79 - 1) * visible[:, None]
    truth = true_keypoints(joints[None], visible[None], 80)
    np.testing.assert_allclose(truth.points[0, 7], [40.25, 22.5], atol=1e-4)
    np.testing.assert_array_equal(truth.visible, found.visible)


def test_cloth_of_nearly_a_markers_colour_does_not_lure_it_away():
    for index, colour in enumerate(MARKER_COLOURS.values()):
        canvas = np.full((64, 64, 3), 0.6, np.float32)
        canvas[20:60, 5:35] = np.clip(0.9 * np.float32(colour) / 255 + 0.05, 0, 1)
        places, visible = np.zeros((len(JOINTS), 3)), np.arange(len(JOINTS)) == MARKED_JOINTS[index]
        places[:, :2] = (0.5, -0.3)
        draw_markers(canvas, places, visible)
        found = detector.detect((_blur(canvas * 255))[None])
        np.testing.assert_allclose(found.points[0, index], [0.75 * 64 - 0.5, 0.35 * 64 - 0.5], atol=0.1)


def test_frames_do_not_depend_on_each_other(small):
    frames, _ = small
    together = detector.detect(frames[:40])
    for index in (0, 31, 32, 39):
        alone = detector.detect(frames[index : index + 1])
        np.testing.assert_array_equal(alone.visible[0], together.visible[index])
        np.testing.assert_allclose(alone.points[0], together.points[index], atol=1e-3)
    nothing = detector.detect(frames[:0])
    assert nothing.points.shape == (0, 13, 2) and nothing.visible.shape == (0, 13)


def test_black_frames_have_none():
    found = detector.detect(np.zeros((2, 16, 16, 3), np.uint8))
    assert not found.visible.any() and not found.points.any()
