"""How puppets are drawn: anti-aliased solids with a depth, textured in their own coordinates, shaded as if round.

Every body part is one kind of solid: a flat core (a trapezoid around an axis; for a limb just the axis) with a round of
varying radius about it. Its silhouette is a signed distance, so that coverage is analytic; its surface has a depth, so that
parts which cross hide each other pixel by pixel. Scene units: the frame's edges are at -1 and +1, z towards the viewer.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

_LIGHT = np.array([-0.42, -0.58, 0.70])
_AMBIENT, _DIFFUSE = 0.62, 0.46
_DEPTH_SOFTNESS = 0.02  # scene units over which one surface passes through another
_FAR = -100.0

# points -> (across, along, normal) colours; see Texture and puppet_body's head.
Paint = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True)
class Solids:
    """Geometry of P solids in T frames.

    start, end: [T, P, 3] ends of the axes (x, y, z); radius, width: [T, P, 2] round and half-width of the core at either end;
    slope: [T, P] depth gained per unit across the axis (an oblique torso); roll: [T, P] turn of the texture about the axis.
    """

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray
    width: np.ndarray
    slope: np.ndarray
    roll: np.ndarray

    def frames(self) -> dict[str, np.ndarray]:
        """Axes as the rasteriser wants them: `along` [T, P, 2] unit vector and `length` [T, P] in the picture."""
        delta = self.end[..., :2] - self.start[..., :2]
        length = np.sqrt((delta**2).sum(-1))
        along = delta / np.maximum(length, 1e-6)[..., None]
        along[length < 1e-6] = (0.0, 1.0)
        return {"along": along, "length": np.maximum(length, 1e-6)}


def surface(across, along, length, radius, width, slope, depth):
    """Where points are with respect to solids.

    Args:
        across, along: coordinates of the points perpendicular to and along the axis, from its start (any shape).
        length, slope: of the solids; radius, width, depth: pairs, at the start and at the end of the axis.

    Returns:
        (distance, z, fraction, normal): signed distance to the silhouette; depth of the surface; position on the axis in
        [0, 1]; the normal (across, along, towards the viewer).
    """
    clipped = np.clip(along, 0, length)
    fraction = clipped / length
    round_ = radius[0] + (radius[1] - radius[0]) * fraction
    core = width[0] + (width[1] - width[0]) * fraction
    inside = np.clip(across, -core, core)
    beyond = along - clipped
    aside = across - inside
    distance = np.sqrt(aside * aside + beyond * beyond) - round_
    normal_across = across / (core + round_)
    normal_along = beyond / round_
    bulge = np.sqrt(np.maximum(1 - normal_across * normal_across - normal_along * normal_along, 0))
    z = depth[0] + (depth[1] - depth[0]) * fraction + slope * inside + round_ * bulge
    return distance, z, fraction, (normal_across, normal_along, bulge)


@dataclasses.dataclass(frozen=True)
class Texture:
    """Cloth or skin on a solid: a pattern of two colours ([3], in [0, 1]) in the solid's own coordinates.

    `length` is the solid's true length in scene units, `girth` its radius; beyond `trim_from` (a fraction of the length) it has
    the colour `trim`; `emblem` is (fraction, radius, colour) of a disc on the front.
    """

    pattern: str
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    period: float
    length: float
    girth: float
    trim_from: float = 2.0
    trim: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emblem: tuple | None = None

    def __call__(self, fraction, normal, roll, along, pixels_per_unit):
        """Colours [h, w, 3] of the points of a surface."""
        pattern = self.pattern
        height = fraction * self.length
        edge = pixels_per_unit * self.period / (2 * np.pi)
        wave = 2 * np.pi / self.period
        angle = None
        if self.emblem or pattern not in ("plain", "hoops", "two_tone"):
            angle = np.arcsin(np.clip(normal[0], -1, 1)) + roll
        if pattern == "plain":
            colours = np.empty((*fraction.shape, 3), np.float32)
            colours[:] = self.colour
        else:
            if pattern == "two_tone":
                mix = _cover((fraction - 0.5) * self.length * pixels_per_unit)
            elif pattern == "hoops":
                mix = _cover(np.sin(wave * height) * edge)
            else:
                turns = max(2, round(2 * np.pi * self.girth / self.period))
                round_about = np.sin(turns * angle)
                if pattern == "stripes":
                    mix = _cover(round_about * edge)
                elif pattern == "checks":
                    mix = 0.5 * _cover(round_about * edge) + 0.5 * _cover(
                        np.sin(wave * height) * edge
                    )
                else:
                    mix = _cover((round_about * np.sin(wave * height) - 0.35) * edge)
            colours = _mix(np.asarray(self.colour, np.float32), self.second, mix)
        if self.trim_from < 1:
            cover = _cover((fraction - self.trim_from) * self.length * pixels_per_unit)
            colours = _mix(colours, self.trim, cover)
        if self.emblem:
            place, size, colour = self.emblem
            aside = np.sin(angle) * self.girth
            away = np.sqrt(aside**2 + (height - place * self.length) ** 2) + 9 * (np.cos(angle) < 0)
            colours = _mix(colours, colour, _cover((size - away) * pixels_per_unit))
        return colours


def _cover(pixels: np.ndarray) -> np.ndarray:
    """Coverage of a pixel whose centre is so many pixels inside an edge."""
    return np.clip(pixels + 0.5, 0, 1)


def _mix(under, over, weight: np.ndarray) -> np.ndarray:
    return under + weight[..., None] * (np.asarray(over, np.float32) - under)


def draw_solid(canvas: np.ndarray, depth: np.ndarray, solid: dict, paint: Paint) -> None:
    """Draws one solid in place over canvas [S, S, 3] (float32) and depth [S, S], where nothing nearer is drawn already.

    `solid` holds the floats of one entry of `Solids`; `paint` gives the surface's colours.
    """
    size = len(canvas)
    scale = size / 2
    (x0, y0, z0), (x1, y1, z1) = solid["start"], solid["end"]
    reach = max(r + w for r, w in zip(solid["radius"], solid["width"], strict=True)) + 1.5 / scale
    left = max(int((min(x0, x1) - reach + 1) * scale), 0)
    right = min(int((max(x0, x1) + reach + 1) * scale) + 1, size)
    top = max(int((min(y0, y1) - reach + 1) * scale), 0)
    bottom = min(int((max(y0, y1) + reach + 1) * scale) + 1, size)
    if left >= right or top >= bottom:
        return
    dx = (np.arange(left, right, dtype=np.float32) + 0.5) / scale - (1 + x0)
    dy = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / scale - (1 + y0))[:, None]
    ux, uy = solid["along"]
    distance, z, fraction, normal = surface(
        dx * uy - dy * ux,
        dx * ux + dy * uy,
        solid["length"],
        solid["radius"],
        solid["width"],
        solid["slope"],
        (z0, z1),
    )
    box = (slice(top, bottom), slice(left, right))
    cover = _cover(-distance * scale)
    alpha = cover * np.clip((z - depth[box]) * (1 / _DEPTH_SOFTNESS) + 0.5, 0, 1)
    colours = paint(fraction, normal, solid["roll"], (ux, uy), scale)
    light_across = float(_LIGHT[0] * uy - _LIGHT[1] * ux)
    light_along = float(_LIGHT[0] * ux + _LIGHT[1] * uy)
    facing = normal[0] * light_across + normal[1] * light_along + normal[2] * float(_LIGHT[2])
    shade = _AMBIENT + _DIFFUSE * facing
    region = canvas[box]
    region += alpha[..., None] * (colours * shade[..., None] - region)
    depth[box] = np.where(cover > 0.5, np.maximum(z, depth[box]), depth[box])


def draw_shadow(canvas: np.ndarray, x: float, y: float, width: float) -> None:
    """Darkens canvas [S, S, 3] in place by a soft ellipse on the floor about (x, y), scene units."""
    size = len(canvas)
    scale = size / 2
    top, bottom = int((y - 0.16 + 1) * scale), min(int((y + 0.16 + 1) * scale) + 1, size)
    dx = (((np.arange(size, dtype=np.float32) + 0.5) / scale) - (1 + x)) / width
    dy = (((np.arange(top, bottom, dtype=np.float32) + 0.5) / scale) - (1 + y)) / 0.07
    weight = 0.35 * np.exp(-(dx**2 + dy[:, None] ** 2))
    canvas[top:bottom] *= (1 - weight)[..., None]


def draw_solids(canvas: np.ndarray, solids: list[dict], paints: list[Paint]) -> None:
    """Draws solids in place over canvas [S, S, 3] (float32, [0, 1]), those farther away first."""
    depth = np.full(canvas.shape[:2], _FAR, np.float32)
    # Sorting makes edges blend with what is behind them; the depth settles what interpenetrates.
    for index in sorted(
        range(len(solids)), key=lambda i: solids[i]["start"][2] + solids[i]["end"][2]
    ):
        draw_solid(canvas, depth, solids[index], paints[index])
