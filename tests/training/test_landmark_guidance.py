"""Keypoints held to the parts of a body whose joints are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.data.puppet_skeleton import JOINTS
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.training.landmark_guidance import PARTS, landmark_guidance, part_motion

FOREARM = PARTS.index(("left_elbow", "left_wrist"))


def true_joints():
    videos = PuppetVideos(split="train", num_identities=2, clips_per_identity=2, num_frames=3, size=32)
    return np.concatenate([videos.annotations(i)[0] for i in range(4)])


def test_a_part_is_told_by_its_middle_and_its_direction():
    joints = true_joints()
    joints[0, JOINTS.index("left_elbow")], joints[0, JOINTS.index("left_wrist")] = (0.2, 0.1), (0.2, 0.4)
    motion = part_motion(joints)
    np.testing.assert_allclose(motion.keypoints[0, FOREARM], [0.2, 0.25], rtol=1e-6)
    # Down by its whole length along the part, which has the length that counts 1; across it is a quarter turn on.
    np.testing.assert_allclose(motion.affine[0, FOREARM], [[0, -1], [1, 0]], atol=1e-6)
    assert np.linalg.det(motion.affine).min() >= 1 / 3 - 1e-6


def test_turning_the_body_turns_all_affines():
    joints, angle = true_joints(), 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    before, after = part_motion(joints), part_motion(joints @ turn.T)
    np.testing.assert_allclose(after.keypoints, before.keypoints @ turn.T, atol=1e-6)
    np.testing.assert_allclose(after.affine, turn @ before.affine, atol=1e-5)


def test_guidance_counts_what_keypoints_and_affines_are_off():
    joints = true_joints()
    truth = part_motion(joints)
    assert landmark_guidance(truth, joints) == 0
    np.testing.assert_allclose(
        landmark_guidance(truth.replace(keypoints=truth.keypoints + 0.2), joints), 0.2, rtol=1e-5
    )
    np.testing.assert_allclose(landmark_guidance(truth.replace(affine=truth.affine - 2), joints), 0.3, rtol=1e-5)


def test_joints_that_coincide_give_finite_gradients():
    motion = Motion(jnp.full((1, len(PARTS), 2), 0.1), jnp.ones((1, len(PARTS), 2, 2)))
    gradients = jax.grad(lambda motion: landmark_guidance(motion, jnp.zeros((1, len(JOINTS), 2))))(motion)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_as_many_keypoints_as_parts():
    motion = Motion(jnp.zeros((1, 4, 2)), jnp.zeros((1, 4, 2, 2)))
    with pytest.raises(ValueError, match="4 keypoints; expected 10"):
        landmark_guidance(motion, jnp.zeros((1, len(JOINTS), 2)))
