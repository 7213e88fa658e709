"""How puppets move: kinds of motion as smooth functions of time, each with random parameters."""

import numpy as np

from motion_transformer_jax.data.puppet_skeleton import SIDES, Pose


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
        _bend_knees(pose, side, 0.35 + 0.3 * np.sin(phase + sign * 0.8), 0.14 + 0.05 * np.sin(phase))
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
    """Draws a motion of a kind: tempo, phase, amplitudes, sway and drift.

    A cycle lasts 1.6 s to 2.8 s, that of a turn twice as long.
    """
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
