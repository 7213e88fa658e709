"""What puppets are made of: the solids that dress a skeleton, and which of its joints they show."""

import numpy as np

from motion_transformer_jax.data.puppet_drawing import Solids, surface
from motion_transformer_jax.data.puppet_identity import Puppet
from motion_transformer_jax.data.puppet_skeleton import JOINTS, SIDES, Build, Skeleton

HEAD_SOLID = (0.94, 0.2)  # radius and length of the core, in head radii
# The solids that a joint belongs to: where one of them is in front, the joint is visible.
OWN_SOLIDS = {
    "head": ("head", "ear", "nose", "hair"),
    "neck": ("neck", "torso"),
    "pelvis": ("pelvis", "torso", "skirt", "left_thigh", "right_thigh"),
} | {
    f"{side}_{joint}": tuple(owner.format(side) for owner in owners)
    for side, _ in SIDES
    for joint, owners in {
        "shoulder": ("{}_upper_arm", "torso"),
        "elbow": ("{}_upper_arm", "{}_forearm"),
        "wrist": ("{}_forearm", "{}_hand"),
        "hip": ("{}_thigh", "pelvis", "skirt", "torso"),
        "knee": ("{}_thigh", "{}_shin"),
        "ankle": ("{}_shin", "{}_shoe"),
    }.items()
}


class _Assembly:
    """Collects the solids of T frames."""

    def __init__(self, frames: int):
        self.frames = frames
        self.names: list[str] = []
        self.textures: list[str] = []
        self._rows: list[tuple] = []

    def add(self, name, texture, start, end, radius, width=(0, 0), slope=0.0, roll=0.0):
        """Adds a solid; radius and width are pairs (start, end) of numbers or arrays [T]."""
        self.names.append(name)
        self.textures.append(texture)
        still = np.zeros(self.frames)
        radius, width = (np.stack([p + still for p in pair], -1) for pair in (radius, width))
        self._rows.append((start, end, radius, width, slope + still, roll + still))

    def solids(self) -> Solids:
        """The solids collected."""
        return Solids(*(np.stack(column, 1) for column in zip(*self._rows, strict=True)))


def assemble(puppet: Puppet, skeleton: Skeleton) -> tuple[Solids, list[str], list[str]]:
    """Dresses a skeleton.

    Returns:
        (solids, names, textures): P solids, their names as in OWN_SOLIDS, and the keys of their
        textures; the head's is "head", which `Puppet.textures` does not hold.
    """
    parts = _Assembly(len(skeleton.chest))
    _add_torso(parts, puppet, skeleton)
    if puppet.legwear == "skirt":
        _add_skirt(parts, puppet.build, skeleton)
    for side, _ in SIDES:
        _add_limbs(parts, puppet.build, skeleton, side)
    _add_head(parts, puppet, skeleton)
    return parts.solids(), parts.names, parts.textures


def visible_joints(puppet: Puppet, skeleton: Skeleton, solids: Solids, names: list[str]) -> np.ndarray:
    """Whether a solid of its own (OWN_SOLIDS) is in front at each of JOINTS, bool [T, J].

    The torso shows the nearer shoulder and hip, but hides the farther ones.
    """
    joints = np.stack([skeleton.joints[joint] for joint in JOINTS], 1)
    axes, lengths = solids.projected_axes()
    offset = joints[:, :, None, :2] - solids.start[:, None, :, :2]
    ux, uy = axes[:, None, :, 0], axes[:, None, :, 1]
    distance, z, _, _ = surface(
        offset[..., 0] * uy - offset[..., 1] * ux,
        offset[..., 0] * ux + offset[..., 1] * uy,
        lengths[:, None],
        np.moveaxis(solids.radius, -1, 0)[:, :, None],
        np.moveaxis(solids.width, -1, 0)[:, :, None],
        solids.slope[:, None],
        (solids.start[:, None, :, 2], solids.end[:, None, :, 2]),
    )
    z = np.where(distance < 0, z, -np.inf)
    own = np.array([[name in OWN_SOLIDS[joint] for name in names] for joint in JOINTS])
    paired = np.array([joint.endswith(("shoulder", "hip")) for joint in JOINTS])
    near = z.max(-1) - joints[..., 2] < _torso_reach(puppet)
    return own[np.arange(len(JOINTS)), z.argmax(-1)] & (near | ~paired)


def _torso_reach(puppet: Puppet) -> float:
    """How far in front of the nearer shoulder or hip the surface of the torso is at most."""
    build = puppet.build
    skirt = _skirt_cover(build) + 0.04 if puppet.legwear == "skirt" else 0.0
    return 1.25 * max(build.depth, build.belly) + skirt


def _skirt_cover(build: Build) -> float:
    return 1.1 * build.leg_radius


def _equal(size: float) -> tuple[float, float]:
    return (size, size)


def _yaw(axes: np.ndarray) -> np.ndarray:
    return np.arctan2(axes[:, 2, 0], axes[:, 2, 2])


def _add_torso(parts: _Assembly, puppet: Puppet, skeleton: Skeleton) -> None:
    build, joints = puppet.build, skeleton.joints
    yaw = _yaw(skeleton.chest)
    facing = np.abs(np.cos(yaw))
    slope = -np.sin(yaw) * np.sign(np.cos(yaw)) / np.maximum(facing, 0.1)
    neck, pelvis = joints["neck"], joints["pelvis"]
    top = neck + 0.2 * (pelvis - neck)
    shoulder, hip = build.shoulder - 0.4 * build.depth, build.hip
    radius, widths = (build.depth, build.belly), (shoulder * facing, hip * facing)
    parts.add("torso", "torso", top, pelvis, radius, widths, slope, -yaw)
    parts.add("neck", "skin", neck, joints["head"], _equal(0.9 * build.arm_radius))
    hips = (joints["left_hip"], joints["right_hip"])
    parts.add("pelvis", "pelvis", *hips, _equal(1.15 * build.leg_radius))


def _add_skirt(parts: _Assembly, build: Build, skeleton: Skeleton) -> None:
    pelvis, yaw = skeleton.joints["pelvis"], _yaw(skeleton.pelvis)
    knees = np.stack([skeleton.joints["left_knee"], skeleton.joints["right_knee"]])
    hem = pelvis + 0.72 * (knees.mean(0) - pelvis)
    hem[:, 2] = pelvis[:, 2] + 0.8 * (knees.max(0)[:, 2] - pelvis[:, 2]).clip(0)
    cover = np.array([0, 0, _skirt_cover(build)])  # in front of both thighs, however they swing
    spread = 0.36 * np.abs(knees[0, :, 0] - knees[1, :, 0]) + 0.06 + 0.8 * build.leg_radius
    radius = (1.05 * build.belly, 0.5 * build.leg_radius)
    widths = (build.hip * np.abs(np.cos(yaw)), spread)
    parts.add("skirt", "skirt", pelvis + cover, hem + cover, radius, widths, roll=-yaw)


def _add_limbs(parts: _Assembly, build: Build, skeleton: Skeleton, side: str) -> None:
    joints, roll = skeleton.joints, -_yaw(skeleton.chest)

    def limb(name: str, start: str, end: str, radius) -> None:
        ends = (joints[f"{side}_{start}"], joints[f"{side}_{end}"])
        parts.add(f"{side}_{name}", name, *ends, radius, roll=roll)

    arm, leg = build.arm_radius, build.leg_radius
    limb("upper_arm", "shoulder", "elbow", (1.2 * arm, arm))
    limb("forearm", "elbow", "wrist", (arm, 0.85 * arm))
    limb("hand", "wrist", "hand", (1.05 * arm, 1.15 * arm))
    limb("thigh", "hip", "knee", (1.2 * leg, leg))
    limb("shin", "knee", "ankle", (0.97 * leg, 0.75 * leg))
    limb("shoe", "ankle", "toe", (leg, 0.9 * leg))


def _add_head(parts: _Assembly, puppet: Puppet, skeleton: Skeleton) -> None:
    look, radius = puppet.look, puppet.build.head_radius
    axes, centre = skeleton.head, skeleton.joints["head"]

    def at(left: float, up: float, ahead: float) -> np.ndarray:
        return centre + radius * np.einsum("d,tdc->tc", np.array([left, up, ahead]), axes)

    def blob(name: str, texture: str, start, end, sizes) -> None:
        parts.add(name, texture, at(*start), at(*end), tuple(radius * size for size in sizes))

    blob("head", "head", (0, 0.1, 0), (0, -0.1, 0), _equal(HEAD_SOLID[0]))
    blob("nose", "skin", (0, -0.2, 0.92), (0, -0.14, 0.95), _equal(0.13))
    for side in (-1, 1):
        blob("ear", "skin", (side * 0.93, -0.08, 0), (side * 0.95, 0.05, 0), _equal(0.17))
        if look.hair == "tails":
            ends = ((side * 0.95, 0.15, -0.3), (side * 1.3, -0.75, -0.35))
            blob("hair", "hair", *ends, (0.3, 0.16))
    if look.hair == "long":
        blob("hair", "hair", (0, 0.1, -0.3), (0, -1.15, -0.62), (0.88, 0.62))
    if look.hair == "bun" and look.hat == "none":
        blob("hair", "hair", (0, 0.85, -0.55), (0, 0.95, -0.6), _equal(0.42))
    if look.hat == "beanie":
        blob("hat", "hat_band", (0, 1.08, -0.1), (0, 1.12, -0.1), _equal(0.27))
    if look.hat == "cap":
        blob("hat", "hat_band", (-0.38, 0.42, 1.0), (0.38, 0.42, 1.0), _equal(0.17))
    if look.hat == "sun_hat":
        # A disc seen from its edge is as wide whichever way the head turns; its near side shows.
        near, brim = radius * np.array([0, 0.06, 0.8]), radius * np.array([1.2, 0, 0])
        middle = at(0, 0.45, 0) + near
        parts.add("hat", "hat_band", middle - brim, middle + brim, _equal(0.14 * radius))
