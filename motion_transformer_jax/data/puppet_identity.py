"""Who puppets are: builds, faces and clothes drawn from a seed."""

import colorsys
import dataclasses

import numpy as np

from motion_transformer_jax.data.puppet_drawing import Texture
from motion_transformer_jax.data.puppet_head import Colour, Look
from motion_transformer_jax.data.puppet_skeleton import Build

_SKIN = ("f6d3b8", "eebf9a", "e0a878", "c98d5e", "a86f45", "84523a", "5f3a2a", "f2c4a8")
_HAIR = ("2a2024", "4a2e20", "7a4a28", "b5722f", "e3b657", "a33a2a", "8a8590", "3a5a94", "b8508f")
_IRIS = ("3f6fa8", "4d7f4a", "6d4526", "44506a")
_PATTERNS = ("plain", "hoops", "stripes", "checks", "dots", "two_tone")


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
