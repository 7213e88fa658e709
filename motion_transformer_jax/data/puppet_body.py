"""Who puppets are: builds, faces and clothes, and the solids that a dressed skeleton is made of."""

import colorsys
import dataclasses

import numpy as np

from motion_transformer_jax.data.puppet_drawing import Solids, Texture
from motion_transformer_jax.data.puppet_head import Colour, Look
from motion_transformer_jax.data.puppet_skeleton import SIDES, Build, Skeleton

_SKIN = ("f6d3b8", "eebf9a", "e0a878", "c98d5e", "a86f45", "84523a", "5f3a2a", "f2c4a8")
_HAIR = ("2a2024", "4a2e20", "7a4a28", "b5722f", "e3b657", "a33a2a", "8a8590", "3a5a94", "b8508f")
_IRIS = ("3f6fa8", "4d7f4a", "6d4526", "44506a")
_PATTERNS = ("plain", "hoops", "stripes", "checks", "dots", "two_tone")

HEAD_SOLID = (0.94, 0.2)  # radius and length of the core, in head radii
# The solids that a joint belongs to: where one of them is in front, the joint is visible.
OWN_SOLIDS = {
    "head": ("head", "hair"),
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


def _hex(code: str) -> Colour:
    return tuple(int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))


def _vivid(rng: np.random.Generator, hue: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.55, 0.9), rng.uniform(0.6, 0.98))


@dataclasses.dataclass(frozen=True)
class Puppet:
    """One identity: build, head, clothes; `legwear` is "trousers", "shorts" or "skirt"."""

    build: Build
    look: Look
    legwear: str
    textures: dict[str, Texture]


def sample_puppet(rng: np.random.Generator) -> Puppet:
    """Draws an identity."""
    build = _sample_build(rng)
    look = _sample_look(rng)
    legwear = ("trousers", "shorts", "skirt")[rng.integers(3)]
    return Puppet(build, look, legwear, _sample_textures(rng, build, look, legwear))


def _sample_build(rng: np.random.Generator) -> Build:
    height = rng.uniform(1.54, 1.66)
    head, neck, torso = rng.uniform(0.225, 0.285), rng.uniform(0.02, 0.04), rng.uniform(0.27, 0.33)
    legs = 1 - head - neck - torso - 0.035
    thigh = rng.uniform(0.49, 0.54)
    arm = rng.uniform(0.34, 0.39)
    stout = rng.uniform(0, 1)
    return Build(
        head_radius=height * head / 2 * 0.93,
        neck=height * neck,
        torso=height * torso,
        shoulder=height * rng.uniform(0.095, 0.125),
        hip=height * (0.048 + 0.02 * stout),
        depth=height * (0.05 + 0.02 * stout),
        belly=height * (0.055 + 0.035 * stout),
        upper_arm=height * arm * 0.46,
        forearm=height * arm * 0.42,
        hand=height * arm * 0.12,
        arm_radius=height * (0.030 + 0.014 * stout),
        thigh=height * legs * thigh,
        shin=height * legs * (1 - thigh),
        foot=height * rng.uniform(0.06, 0.08),
        leg_radius=height * (0.038 + 0.016 * stout),
    )


def _sample_look(rng: np.random.Generator) -> Look:
    hue = rng.random()
    return Look(
        skin=_hex(rng.choice(_SKIN)),
        hair_colour=_hex(rng.choice(_HAIR)),
        hair=str(rng.choice(("short", "short", "long", "long", "bun", "tails", "none"))),
        fringe=rng.uniform(3, 14),
        hat=str(rng.choice(("none", "none", "none", "beanie", "cap", "sun_hat"))),
        hat_colour=_vivid(rng, hue),
        hat_band=_vivid(rng, hue + rng.uniform(0.3, 0.7)),
        iris=_hex(rng.choice(_IRIS)),
        eye_spacing=rng.uniform(0.34, 0.42),
        eye_size=rng.uniform(0.15, 0.2),
        smile=rng.uniform(0.6, 1.8),
        glasses=bool(rng.random() < 0.2),
    )


def _sample_textures(rng, build: Build, look: Look, legwear: str) -> dict[str, Texture]:
    hue = rng.uniform(0.13, 0.97)  # not the hues of skin
    shirt = _vivid(rng, hue)
    second = ((0.97, 0.95, 0.9), _vivid(rng, hue + rng.uniform(0.25, 0.75)))[rng.integers(2)]
    leg_hue = hue + rng.uniform(0.3, 0.7)
    trousers = _vivid(rng, leg_hue)
    trousers = tuple(0.75 * c for c in trousers) if rng.random() < 0.5 else trousers
    trousers_second = tuple(0.6 * c + 0.35 for c in trousers)
    shoes, gloves = _vivid(rng, rng.random()), rng.random() < 0.3
    patterns = rng.choice(_PATTERNS, 2)
    period = rng.uniform(0.1, 0.17)
    sleeves = (2.0, 0.55)[rng.integers(2)]
    bare_forearms = sleeves < 1
    length = {"torso": build.torso, "upper_arm": build.upper_arm, "thigh": build.thigh}

    def cloth(which: int, colours, part: str, girth: float, **trim) -> Texture:
        return Texture(str(patterns[which]), *colours, period, length[part], girth, **trim)

    def plain(colour: Colour, **trim) -> Texture:
        return Texture("plain", colour, colour, 1.0, build.forearm, build.arm_radius, **trim)

    shirt_colours, leg_colours = (shirt, second), (trousers, trousers_second)
    emblem = (0.32, 0.055, _vivid(rng, hue + 0.5)) if patterns[0] == "plain" else None
    girth = build.shoulder + build.depth
    skin = plain(look.skin)
    leg = cloth(1, leg_colours, "thigh", build.leg_radius)
    bare_leg = plain(look.skin, trim_from=rng.uniform(0.5, 0.8), trim=second)
    short_leg = dataclasses.replace(leg, trim_from=0.7, trim=look.skin)
    sleeve = cloth(0, shirt_colours, "upper_arm", build.arm_radius, trim_from=sleeves, trim=look.skin)
    cuffs = {"trim_from": 0.8, "trim": second}
    return {
        "torso": cloth(0, shirt_colours, "torso", girth, emblem=emblem, trim_from=0.93, trim=trousers),
        "upper_arm": sleeve,
        "forearm": skin if bare_forearms else plain(shirt, **cuffs),
        "hand": plain(_vivid(rng, hue + 0.5)) if gloves else skin,
        "thigh": {"trousers": leg, "shorts": short_leg, "skirt": skin}[legwear],
        "shin": leg if legwear == "trousers" else bare_leg,
        "shoe": plain(shoes, trim_from=0.75, trim=tuple(0.5 * c + 0.5 for c in shoes)),
        "skirt": cloth(1, leg_colours, "thigh", 0.25, trim_from=0.85, trim=second),
        "pelvis": plain(trousers),
        "skin": skin,
        "hair": plain(look.hair_colour),
        "hat": plain(look.hat_colour),
        "hat_band": plain(look.hat_band),
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


def hiding_depth(puppet: Puppet) -> float:
    """How far in front of a hip or a shoulder the torso still shows it rather than hides it."""
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
