"""Puppets' skeletons: joints in three dimensions from a build and a pose.

Everything is in scene units: x right, y down, z towards the viewer; the frame's edges are at -1 and
+1. A puppet that faces the viewer has yaw 0 and its left hand on the right of the picture; at yaw
pi / 2 it faces the picture's right.
"""

import dataclasses

import numpy as np

JOINTS = (
    "head",
    "neck",
    "pelvis",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
)
BONES = (
    ("head", "neck"),
    ("neck", "pelvis"),
    ("neck", "left_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("neck", "right_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("pelvis", "left_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("pelvis", "right_hip"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)
SIDES = (("left", 1.0), ("right", -1.0))
CAMERA_TILT = 0.12  # radians: the camera looks down a little, so that what is nearer is lower
GROUND = 0.86  # scene y of the soles


@dataclasses.dataclass(frozen=True)
class Build:
    """Lengths of a body in scene units; radii are those of limbs, widths are halves."""

    head_radius: float
    neck: float
    torso: float
    shoulder: float
    hip: float
    depth: float
    belly: float
    upper_arm: float
    forearm: float
    hand: float
    arm_radius: float
    thigh: float
    shin: float
    foot: float
    leg_radius: float


@dataclasses.dataclass
class Pose:
    """Angles (radians) and offsets (scene units) of a body over time, every array [T].

    `limbs` maps "left_upper_arm", "left_forearm", "left_thigh", "left_shin" and their right
    counterparts to a pair (spread, swing): the angle away from the body in its frontal plane
    (0 = down, pi = up), and the angle forwards.
    """

    yaw: np.ndarray
    twist: np.ndarray
    lean: np.ndarray
    bend: np.ndarray
    shift: np.ndarray
    hop: np.ndarray
    head_yaw: np.ndarray
    head_nod: np.ndarray
    head_tilt: np.ndarray
    limbs: dict[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """Where a body is.

    `joints` maps JOINTS, and the tips "left_hand", "left_toe", …, to [T, 3]; chest, pelvis and
    head are [T, 3, 3], in rows where their left, up and forward point.
    """

    joints: dict[str, np.ndarray]
    chest: np.ndarray
    pelvis: np.ndarray
    head: np.ndarray


def _axes(yaw: np.ndarray, bend: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """Left, up and forward of a part [T, 3, 3] bent forwards, leant to its left, then turned."""
    zero = np.zeros_like(yaw)
    left = np.stack([np.cos(yaw), zero, -np.sin(yaw)], -1)
    forward = np.stack([np.sin(yaw), zero, np.cos(yaw)], -1)
    up = np.broadcast_to([0.0, -1.0, 0.0], left.shape)
    cos, sin = np.cos(bend)[:, None], np.sin(bend)[:, None]
    up, forward = cos * up + sin * forward, cos * forward - sin * up
    cos, sin = np.cos(lean)[:, None], np.sin(lean)[:, None]
    up, left = cos * up + sin * left, cos * left - sin * up
    return np.stack([left, up, forward], 1)


def _direction(axes: np.ndarray, sign: float, angles: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    spread, swing = angles
    local = [sign * np.sin(spread) * np.cos(swing), -np.cos(spread) * np.cos(swing), np.sin(swing)]
    return np.einsum("ct,tcd->td", np.stack(local), axes)


def create_skeleton(build: Build, pose: Pose) -> Skeleton:
    """Puts a body into a pose: forward kinematics from the pelvis, the lower foot on the ground."""
    zero = np.zeros_like(pose.yaw)
    pelvis = _axes(pose.yaw, zero, zero)
    chest = _axes(pose.yaw + pose.twist, pose.bend, pose.lean)
    head = _axes(
        pose.yaw + 0.6 * pose.twist + pose.head_yaw,
        0.4 * pose.bend + pose.head_nod,
        0.5 * pose.lean + pose.head_tilt,
    )
    joints = {"pelvis": np.zeros((len(zero), 3))}
    joints["neck"] = build.torso * chest[:, 1]
    joints["head"] = joints["neck"] + build.neck * chest[:, 1] + build.head_radius * head[:, 1]
    for side, sign in SIDES:
        limbs = {part: pose.limbs[f"{side}_{part}"] for part in ("upper_arm", "forearm", "thigh", "shin")}
        shoulder = joints["neck"] + sign * build.shoulder * chest[:, 0] - 0.04 * chest[:, 1]
        elbow = shoulder + build.upper_arm * _direction(chest, sign, limbs["upper_arm"])
        forearm = _direction(chest, sign, limbs["forearm"])
        hip = sign * build.hip * pelvis[:, 0]
        knee = hip + build.thigh * _direction(pelvis, sign, limbs["thigh"])
        ankle = knee + build.shin * _direction(pelvis, sign, limbs["shin"])
        pitch = np.clip(-0.6 * limbs["shin"][1], -0.3, 0.9)[:, None]
        toes = np.cos(pitch) * (pelvis[:, 2] + 0.35 * sign * pelvis[:, 0]) - np.sin(pitch) * pelvis[:, 1]
        wrist = elbow + build.forearm * forearm
        points = (shoulder, elbow, wrist, hip, knee, ankle)
        names = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        joints |= {f"{side}_{name}": point for name, point in zip(names, points, strict=True)}
        joints[f"{side}_hand"] = wrist + build.hand * forearm
        joints[f"{side}_toe"] = ankle + build.foot * toes
    return _place(Skeleton(joints, chest, pelvis, head), pose, build)


def _place(skeleton: Skeleton, pose: Pose, build: Build) -> Skeleton:
    """Puts the lowest foot on the ground and tilts the camera."""
    soles = [skeleton.joints[f"{side}_{part}"][:, 1] for side, _ in SIDES for part in ("ankle", "toe")]
    softness = 0.02  # a hard maximum would jolt the body whenever the weight changes foot
    lowest = softness * np.logaddexp.reduce(np.stack(soles) / softness, axis=0)
    rise = GROUND - build.leg_radius - lowest - pose.hop
    offset = np.stack([pose.shift, rise, np.zeros_like(rise)], -1)
    cos, sin = np.cos(CAMERA_TILT), np.sin(CAMERA_TILT)
    tilt = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    pivot = np.array([0, GROUND, 0])
    joints = {name: (point + offset - pivot) @ tilt.T + pivot for name, point in skeleton.joints.items()}
    axes = (skeleton.chest @ tilt.T, skeleton.pelvis @ tilt.T, skeleton.head @ tilt.T)
    return Skeleton(joints, *axes)
