"""Markers: where they are, what they change, and that their colours can be told apart."""

import itertools

import numpy as np
import pytest

from motion_transformer_jax.data.puppet_markers import MARKED_JOINTS, MARKER_COLOURS, MARKER_RADIUS, draw_markers
from motion_transformer_jax.data.puppets import JOINTS, PuppetVideos

SETTINGS = {"split": "train", "num_identities": 3, "clips_per_identity": 2, "num_frames": 5}


@pytest.mark.parametrize("size", [33, 64])
def test_visible_joints_wear_discs_and_nothing_else_changes(size):
    plain, marked = (PuppetVideos(1, **SETTINGS, size=size, markers=markers) for markers in (False, True))
    for index in range(len(plain)):
        joints, visible = marked.annotations(index)
        np.testing.assert_array_equal(joints, plain.annotations(index)[0])
        pixels = (joints[4] + 1) / 2 * (size - 1)
        changed = np.argwhere((plain.frame(index, 4) != marked.frame(index, 4)).any(-1))[:, ::-1]
        worn = pixels[[joint for joint in MARKED_JOINTS if visible[4, joint]]]
        away = np.linalg.norm(changed[:, None] - worn, axis=-1)
        assert away.min(1).max() < MARKER_RADIUS * size / 2 + 1
        assert (away.min(0) < 1).all()


def test_a_disc_is_as_large_as_said_and_the_nearer_one_is_on_top():
    canvas = np.full((128, 128, 3), 0.5, np.float32)
    places, visible = np.zeros((len(JOINTS), 3)), np.zeros(len(JOINTS), bool)
    first, second, hidden = MARKED_JOINTS[:3]
    places[first], places[second], places[hidden] = (0.3, 0, 1), (0.31, 0, -1), (-0.5, 0, 0)
    visible[[first, second]] = True
    draw_markers(canvas, places, visible)
    colours = [np.float32(colour) / 255 for colour in MARKER_COLOURS.values()]
    np.testing.assert_allclose(canvas[63, int(1.3 * 64)], colours[0], atol=1e-6)
    assert (canvas[63, 32] == 0.5).all()
    visible[second] = False
    canvas = np.zeros((128, 128, 3), np.float32)
    draw_markers(canvas, places, visible)
    share = canvas.sum((0, 1)) / colours[0].clip(1e-9)
    np.testing.assert_allclose(share[colours[0] > 0], np.pi * (MARKER_RADIUS * 64) ** 2, rtol=0.01)


def test_a_disc_may_leave_the_frame():
    canvas = np.zeros((32, 32, 3), np.float32)
    places, visible = np.zeros((len(JOINTS), 3)), np.zeros(len(JOINTS), bool)
    places[MARKED_JOINTS[0]], visible[MARKED_JOINTS[0]] = (1.0, -1.0, 0), True
    draw_markers(canvas, places, visible)
    assert canvas[0, -1].any() and not canvas[8:].any() and not canvas[:, :24].any()


def test_colours_are_vivid_and_the_set_cannot_be_spread_further_by_changing_one():
    colours = np.array(list(MARKER_COLOURS.values())) / 255
    steps = np.array(list(itertools.product(np.linspace(0, 1, 5), repeat=3)))
    vivid = np.round(steps[np.ptp(steps, axis=1) >= 0.75] * 255) / 255
    assert {tuple(colour) for colour in colours} <= {tuple(colour) for colour in vivid}
    for index in range(len(colours)):
        others = np.delete(colours, index, axis=0)
        least = np.linalg.norm(colours[index] - others, axis=-1).min()
        assert least > 0.43
        within = np.linalg.norm(others[:, None] - others, axis=-1)[np.triu_indices(len(others), 1)].min()
        reachable = np.linalg.norm(vivid[:, None] - others, axis=-1).min(1).max()
        assert min(within, reachable) < 0.44
