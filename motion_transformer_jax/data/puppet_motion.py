"""How puppets move: poses as smooth functions of time, and the three-dimensional skeleton that takes them.

Everything is in scene units: x right, y down, z towards the viewer; the frame's edges are at -1 and +1. A puppet that faces
the viewer has yaw 0 and its left hand on the right of the picture; at yaw pi / 2 it faces the picture's right.
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

    `limbs` maps "left_upper_arm", "left_forearm", "left_thigh", "left_shin" and their right counterparts to a pair
    (spread, swing): the angle away from the body in its frontal plane (0 = down, pi = up), and the angle forwards.
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
    """Where a body is: `joints` maps a joint (or "left_hand", "left_toe", …) to [T, 3]; axes are [T, 3 (left, up, forward), 3]."""

    joints: dict[str, np.ndarray]
    chest: np.ndarray
    pelvis: np.ndarray
    head: np.ndarray


def _rest(frames: int) -> Pose:
    zero = np.zeros(frames)
    limbs = {}
    for side, _ in SIDES:
        limbs[f"{side}_upper_arm"] = (zero + 0.25, zero)
        limbs[f"{side}_forearm"] = (zero + 0.12, zero + 0.25)
        limbs[f"{side}_thigh"] = (zero + 0.1, zero)
        limbs[f"{side}_shin"] = (zero + 0.04, zero)
    return Pose(*[zero] * 9, limbs)


def _bend_knees(pose: Pose, side: str, flex: np.ndarray, spread: np.ndarray | float) -> None:
    pose.limbs[f"{side}_thigh"] = (spread + 0 * flex, 0.5 * flex)
    pose.limbs[f"{side}_shin"] = (0.5 * spread + 0 * flex, -0.5 * flex)


def _walk(rng: np.random.Generator, phase: np.ndarray) -> Pose:
    pose = _rest(len(phase))
    stride, lift, swing = rng.uniform(0.42, 0.62), rng.uniform(0.6, 1.0), rng.uniform(0.45, 0.85)
    elbow, spread = rng.uniform(0.3, 1.0), rng.uniform(0.15, 0.4)
    for side, sign in SIDES:
        step = phase if sign > 0 else phase + np.pi
        thigh = stride * np.sin(step) + 0.08
        pose.limbs[f"{side}_thigh"] = (0.06 + 0 * step, thigh)
        flex = 0.12 + lift * (0.5 + 0.5 * np.cos(step)) ** 2
        pose.limbs[f"{side}_shin"] = (0.03 + 0 * step, thigh - flex)
        arm = -swing * np.sin(step)
        pose.limbs[f"{side}_upper_arm"] = (spread + 0 * step, arm)
        pose.limbs[f"{side}_forearm"] = (0.4 * spread + 0 * step, arm + elbow)
    pose.yaw = rng.choice([-1, 1]) * rng.uniform(0.5, 1.4) + 0.15 * np.sin(phase / 2)
    pose.twist = 0.22 * np.sin(phase)
    pose.bend = 0.06 + 0.03 * np.cos(2 * phase)
    return pose


def _wave(rng: np.random.Generator, phase: np.ndarray) -> Pose:
    pose = _rest(len(phase))
    both = rng.random() < 0.35
    waving = rng.integers(2)
    raised, reach, rate = rng.uniform(1.6, 2.2), rng.uniform(0.45, 0.75), rng.integers(1, 3)
    for index, (side, sign) in enumerate(SIDES):
        if both or index == waving:
            pose.limbs[f"{side}_upper_arm"] = (raised + 0.3 * np.sin(phase), 0.2 + 0 * phase)
            beat = np.sin(rate * phase + (0.6 if both else 0) * sign)
            pose.limbs[f"{side}_forearm"] = (2.9 + reach * beat, 0.25 + 0.2 * np.cos(phase))
        else:
            pose.limbs[f"{side}_upper_arm"] = (0.55 + 0.25 * np.sin(phase), 0.1 + 0 * phase)
            pose.limbs[f"{side}_forearm"] = (-0.35 + 0.3 * np.sin(phase), 0.5 + 0 * phase)
        _bend_knees(
            pose, side, 0.35 + 0.3 * np.sin(phase + sign * 0.8), 0.14 + 0.05 * np.sin(phase)
        )
    pose.yaw = rng.uniform(-0.6, 0.6) + 0.2 * np.sin(phase / 2)
    pose.lean = rng.uniform(0.08, 0.18) * np.sin(phase)
    pose.head_tilt = -0.15 * np.sin(phase)
    return pose


def _dance(rng: np.random.Generator, phase: np.ndarray) -> Pose:
    pose = _rest(len(phase))
    mirrored = rng.random() < 0.5
    arms, knees, step = rng.uniform(0.7, 1.05), rng.uniform(0.35, 0.6), rng.uniform(0.12, 0.25)
    offset, lag = rng.uniform(1.2, 1.7), rng.uniform(0.4, 1.2)
    for side, sign in SIDES:
        turn = phase if mirrored or sign > 0 else phase + np.pi
        pose.limbs[f"{side}_upper_arm"] = (offset + arms * np.sin(turn), 0.3 * np.cos(turn))
        forearm = offset + 0.4 + (arms + 0.25) * np.sin(turn - lag)
        pose.limbs[f"{side}_forearm"] = (forearm, 0.3 + 0.3 * np.cos(turn - lag))
        kick = knees * (1 + np.sin(phase + sign * np.pi / 2))
        _bend_knees(pose, side, kick + 0.15, 0.15 + step * (1 + np.sin(phase * sign)) * 0.7)
    pose.yaw = rng.uniform(-0.5, 0.5) + rng.uniform(0.2, 0.5) * np.sin(phase / 2)
    pose.twist = 0.25 * np.sin(phase)
    pose.lean = rng.uniform(0.1, 0.2) * np.sin(phase)
    pose.shift = rng.uniform(0.04, 0.1) * np.sin(phase)
    pose.hop = rng.uniform(0.0, 0.06) * (1 - np.cos(2 * phase)) / 2
    pose.head_tilt = 0.15 * np.sin(phase + 1)
    return pose


def _turn(rng: np.random.Generator, phase: np.ndarray) -> Pose:
    pose = _rest(len(phase))
    lift, height = rng.uniform(0.2, 0.45), rng.uniform(0.7, 1.4)
    for side, sign in SIDES:
        pose.limbs[f"{side}_upper_arm"] = (
            height + lift * np.sin(phase),
            0.3 * sign * np.cos(phase),
        )
        pose.limbs[f"{side}_forearm"] = (height + 2 * lift * np.sin(phase - 0.6), 0.3 + 0 * phase)
        _bend_knees(pose, side, 0.3 + 0.28 * np.sin(phase + sign * 1.2), 0.16)
    direction = rng.choice([-1, 1])
    if rng.random() < 0.5:
        pose.yaw = rng.uniform(-np.pi, np.pi) + direction * phase / 2
    else:
        pose.yaw = direction * (rng.uniform(1.2, 1.9) * np.sin(phase / 2)) + rng.uniform(-0.3, 0.3)
    pose.head_yaw = direction * (0.2 + 0.2 * np.sin(phase))
    pose.lean = 0.06 * np.sin(phase)
    return pose


def _squat(rng: np.random.Generator, phase: np.ndarray) -> Pose:
    pose = _rest(len(phase))
    down = 0.5 - 0.5 * np.cos(phase)
    depth, width = rng.uniform(0.75, 1.15), rng.uniform(0.15, 0.4)
    sideways = rng.random() < 0.5
    for side, _ in SIDES:
        pose.limbs[f"{side}_thigh"] = (width * (0.5 + down), depth * down + 0.05)
        pose.limbs[f"{side}_shin"] = (width * (0.4 - 0.3 * down), -0.75 * depth * down - 0.05)
        lifted = (
            0.25 + (2.3 if sideways else 0.1) * down,
            0.1 + (0.2 if sideways else 1.25) * down,
        )
        pose.limbs[f"{side}_upper_arm"] = lifted
        pose.limbs[f"{side}_forearm"] = (lifted[0] - 0.1 + 0.3 * down, lifted[1] + 0.2)
    pose.yaw = rng.choice([-1, 1]) * rng.uniform(0.2, 1.2) + 0.1 * np.sin(phase / 2)
    pose.bend = 0.4 * depth * down
    pose.head_nod = -0.3 * depth * down
    return pose


_GAITS = {"walk": _walk, "wave": _wave, "dance": _dance, "turn": _turn, "squat": _squat}
MOTIONS = tuple(_GAITS)


def sample_pose(rng: np.random.Generator, motion: str, *, num_frames: int, fps: float) -> Pose:
    """Draws one clip's motion of a kind: its tempo (a cycle lasts 1.6 s to 2.8 s), phase, amplitudes, sway and drift."""
    time = np.arange(num_frames) / fps
    period = rng.uniform(1.6, 2.8)
    pose = _GAITS[motion](rng, 2 * np.pi * time / period + rng.uniform(0, 2 * np.pi))

    def slow(amplitude: float) -> np.ndarray:
        turns = time / rng.uniform(3.0, 5.5) + rng.random()
        return amplitude * np.sin(2 * np.pi * turns)

    pose.shift = pose.shift + rng.uniform(-0.06, 0.06) + slow(rng.uniform(0.05, 0.13))
    pose.yaw = pose.yaw + slow(0.1)
    pose.lean = pose.lean + slow(0.04)
    pose.head_yaw = pose.head_yaw + slow(0.25)
    pose.head_nod = pose.head_nod + slow(0.08)
    return pose


def _axes(yaw: np.ndarray, bend: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """Left, up and forward of a body part [T, 3, 3] that is bent forwards, leant to its left, then turned."""
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
    """Joints of a body in a pose: forward kinematics from the pelvis, the lower foot on the ground, seen by the camera."""
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
        limbs = {
            part: pose.limbs[f"{side}_{part}"] for part in ("upper_arm", "forearm", "thigh", "shin")
        }
        shoulder = joints["neck"] + sign * build.shoulder * chest[:, 0] - 0.04 * chest[:, 1]
        elbow = shoulder + build.upper_arm * _direction(chest, sign, limbs["upper_arm"])
        forearm = _direction(chest, sign, limbs["forearm"])
        hip = sign * build.hip * pelvis[:, 0]
        knee = hip + build.thigh * _direction(pelvis, sign, limbs["thigh"])
        ankle = knee + build.shin * _direction(pelvis, sign, limbs["shin"])
        pitch = np.clip(-0.6 * limbs["shin"][1], -0.3, 0.9)[:, None]
        toes = (
            np.cos(pitch) * (pelvis[:, 2] + 0.35 * sign * pelvis[:, 0])
            - np.sin(pitch) * pelvis[:, 1]
        )
        wrist = elbow + build.forearm * forearm
        points = (shoulder, elbow, wrist, hip, knee, ankle)
        names = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        joints |= {f"{side}_{name}": point for name, point in zip(names, points, strict=True)}
        joints[f"{side}_hand"] = wrist + build.hand * forearm
        joints[f"{side}_toe"] = ankle + build.foot * toes
    return _place(Skeleton(joints, chest, pelvis, head), pose, build)


def _place(skeleton: Skeleton, pose: Pose, build: Build) -> Skeleton:
    """Puts the lowest foot on the ground and tilts the camera."""
    soles = [
        skeleton.joints[f"{side}_{part}"][:, 1] for side, _ in SIDES for part in ("ankle", "toe")
    ]
    softness = 0.02  # a hard maximum would jolt the body whenever the weight changes foot
    lowest = softness * np.logaddexp.reduce(np.stack(soles) / softness, axis=0)
    rise = GROUND - build.leg_radius - lowest - pose.hop
    offset = np.stack([pose.shift, rise, np.zeros_like(rise)], -1)
    cos, sin = np.cos(CAMERA_TILT), np.sin(CAMERA_TILT)
    tilt = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    pivot = np.array([0, GROUND, 0])
    joints = {
        name: (point + offset - pivot) @ tilt.T + pivot for name, point in skeleton.joints.items()
    }
    axes = (skeleton.chest @ tilt.T, skeleton.pelvis @ tilt.T, skeleton.head @ tilt.T)
    return Skeleton(joints, *axes)
