"""Kinematics: rigid bones, feet on the ground, left and right, smooth motions of every kind."""

import numpy as np
import pytest

from motion_transformer_jax.data.puppet_body import assemble, visible_joints
from motion_transformer_jax.data.puppet_identity import sample_puppet
from motion_transformer_jax.data.puppet_motion import MOTIONS, sample_pose
from motion_transformer_jax.data.puppet_skeleton import BONES, GROUND, JOINTS, Pose, create_skeleton

RIGID = [bone for bone in BONES if bone[0] not in ("head",)]


def _standing(yaw, spread=0.1):
    zero = np.zeros(1)
    limbs = {f"{side}_{part}": (zero, zero) for side in ("left", "right") for part in ("thigh", "shin")}
    limbs |= {f"{s}_{part}": (zero + spread, zero) for s in ("left", "right") for part in ("upper_arm", "forearm")}
    return Pose(zero + yaw, *[zero] * 8, limbs)


def _puppet(seed):
    return sample_puppet(np.random.default_rng(seed))


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_bones_are_rigid_feet_stand_and_motion_is_smooth(motion, seed):
    build = _puppet(seed).build
    pose = sample_pose(np.random.default_rng(seed), motion, num_frames=150, fps=25)
    joints = create_skeleton(build, pose).joints
    for start, end in RIGID:
        length = np.linalg.norm(joints[start] - joints[end], axis=-1)
        np.testing.assert_allclose(length, length[0], atol=1e-6)
    soles = [joints[f"{side}_{part}"][:, 1] for side in ("left", "right") for part in ("ankle", "toe")]
    lowest = np.max(soles, 0) + build.leg_radius
    assert np.all(lowest <= GROUND + 0.06) and np.all(lowest > GROUND - 0.16)
    places = np.stack([joints[joint] for joint in JOINTS], 1)
    speed = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    jerk = np.linalg.norm(np.diff(places, n=2, axis=0), axis=-1)
    assert speed.max() < 0.13 and jerk.max() < 0.04
    assert np.ptp(places, axis=0).max() > 0.2, "some limb moves a lot"


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_cycle_is_no_shorter_than_one_and_a_half_seconds(motion):
    for seed in range(5):
        pose = sample_pose(np.random.default_rng(seed), motion, num_frames=500, fps=25)
        for _, swing in pose.limbs.values():
            motionless = np.ptp(swing) < 0.2
            ups = np.sum(np.diff(np.sign(np.diff(swing))) < 0)
            assert motionless or ups <= 500 / 25 / 1.5 + 1


def test_tempo_is_in_seconds_not_frames():
    slow, fast = (
        sample_pose(np.random.default_rng(3), "walk", num_frames=n, fps=fps) for n, fps in ((25, 12.5), (50, 25))
    )
    np.testing.assert_allclose(fast.yaw[::2], slow.yaw, atol=1e-9)


def test_the_left_hand_of_who_faces_us_is_on_our_right():
    build = _puppet(0).build
    facing = create_skeleton(build, _standing(0.0)).joints
    assert facing["left_wrist"][0, 0] > 0.1 > -0.1 > facing["right_wrist"][0, 0]
    away = create_skeleton(build, _standing(np.pi)).joints
    assert away["left_wrist"][0, 0] < -0.1
    rightwards = create_skeleton(build, _standing(np.pi / 2)).joints
    assert rightwards["left_toe"][0, 0] > rightwards["left_ankle"][0, 0] + 0.05
    assert rightwards["left_shoulder"][0, 2] < rightwards["right_shoulder"][0, 2]


@pytest.mark.parametrize("seed", range(12))
def test_the_far_arm_is_hidden_behind_the_torso_and_the_near_one_is_not(seed):
    puppet = _puppet(seed)

    def visible(yaw, **arms):
        skeleton = create_skeleton(puppet.build, _standing(yaw, **arms))
        solids, names, _ = assemble(puppet, skeleton)
        return dict(zip(JOINTS, visible_joints(puppet, skeleton, solids, names)[0], strict=True))

    for yaw, far, near in ((np.pi / 2, "left", "right"), (-np.pi / 2, "right", "left")):
        seen = visible(yaw)
        assert not seen[f"{far}_shoulder"] and not seen[f"{far}_elbow"]
        assert all(seen[f"{near}_{joint}"] for joint in ("shoulder", "elbow", "wrist", "knee"))
        assert seen["head"]
    front = visible(0.0, spread=0.6)
    assert all(front.values()), [joint for joint, shown in front.items() if not shown]
