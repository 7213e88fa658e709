"""How puppets are drawn: anti-aliased solids with a depth, textured and shaded as if round.

Every body part is one kind of solid: a flat core (a trapezoid about an axis; for a limb just the
axis) with a round of varying radius about it. Its silhouette is a signed distance, so that coverage
is analytic; its surface has a depth, so that parts which cross hide each other pixel by pixel.
Scene units: the frame's edges are at -1 and +1, z towards the viewer.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

_LIGHT = np.array([-0.42, -0.58, 0.70])
_AMBIENT, _DIFFUSE = 0.62, 0.46
_DEPTH_SOFTNESS = 0.02  # scene units over which one surface passes through another
_FAR = -100.0
_ELSEWHERE = 9.0  # a distance beyond any

# (fraction, normal, roll, along, pixels_per_unit) -> colours [h, w, 3], as Texture's.
Paint = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True)
class Solids:
    """Geometry of P solids in T frames.

    start, end: [T, P, 3] ends of the axes (x, y, z).
    radius, width: [T, P, 2] round and half-width of the core at either end.
    slope: [T, P] depth gained per unit across the axis (an oblique torso).
    roll: [T, P] turn of the texture about the axis, radians.
    """

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray
    width: np.ndarray
    slope: np.ndarray
    roll: np.ndarray

    def projected_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The axes in the picture: unit vectors [T, P, 2] and lengths [T, P]."""
        delta = self.end[..., :2] - self.start[..., :2]
        length = np.sqrt((delta**2).sum(-1))
        along = delta / np.maximum(length, 1e-6)[..., None]
        along[length < 1e-6] = (0.0, 1.0)
        return along, np.maximum(length, 1e-6)

    def at(self, t: int) -> list[dict]:
        """The solids of frame t as `draw_solid` takes them: Python numbers are fastest there."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["along"], fields["length"] = self.projected_axes()
        columns = [values[t].tolist() for values in fields.values()]
        return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


def surface(across, along, length, radius, width, slope, depth):
    """Where points are with respect to solids.

    Args:
        across, along: coordinates of the points perpendicular to and along the axis, from its
            start (any shape).
        length, slope: of the solids, as in `Solids`.
        radius, width, depth: pairs, at the start and at the end of the axis.

    Returns:
        (distance, z, fraction, normal): signed distance to the silhouette, negative inside; depth
        of the surface; position on the axis in [0, 1]; the normal (across, along, to the viewer).
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


def coverage(pixels: np.ndarray) -> np.ndarray:
    """Coverage of a pixel whose centre is so many pixels inside an edge."""
    return np.clip(pixels + 0.5, 0, 1)


def mix_colours(under, over, weight: np.ndarray) -> np.ndarray:
    """Colours [..., 3] between `under` and `over`, by weight [...] in [0, 1]."""
    return under + weight[..., None] * (np.asarray(over, np.float32) - under)


@dataclasses.dataclass(frozen=True)
class Texture:
    """Cloth or skin on a solid: a pattern of two colours in the solid's own coordinates.

    Colours are RGB in [0, 1]. `period` of the pattern, `length` and `girth` (the radius) of the
    solid are in scene units; beyond `trim_from`, a fraction of the length, its colour is `trim`;
    `emblem` is (fraction, radius, colour) of a disc on the front.
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
        """Colours [h, w, 3] of the points of a surface; see `surface` and `draw_solid`."""
        height = fraction * self.length
        angle = None
        if self.emblem or self.pattern not in ("plain", "hoops", "two_tone"):
            angle = np.arcsin(np.clip(normal[0], -1, 1)) + roll
        colours = np.empty((*fraction.shape, 3), np.float32)
        colours[:] = self.colour
        if self.pattern != "plain":
            weight = self._second_weight(height, angle, pixels_per_unit)
            colours = mix_colours(colours, self.second, weight)
        if self.trim_from < 1:
            weight = coverage((height - self.trim_from * self.length) * pixels_per_unit)
            colours = mix_colours(colours, self.trim, weight)
        if self.emblem:
            place, size, colour = self.emblem
            aside = np.sin(angle) * self.girth
            away = np.sqrt(aside**2 + (height - place * self.length) ** 2)
            away = away + _ELSEWHERE * (np.cos(angle) < 0)
            colours = mix_colours(colours, colour, coverage((size - away) * pixels_per_unit))
        return colours

    def _second_weight(self, height, angle, pixels_per_unit):
        """How much of the second colour; the pattern's edges are as soft as a pixel is wide."""
        if self.pattern == "two_tone":
            return coverage((height - 0.5 * self.length) * pixels_per_unit)
        softness = pixels_per_unit * self.period / (2 * np.pi)
        up = np.sin((2 * np.pi / self.period) * height)
        if self.pattern == "hoops":
            return coverage(up * softness)
        around = np.sin(max(2, round(2 * np.pi * self.girth / self.period)) * angle)
        if self.pattern == "stripes":
            return coverage(around * softness)
        if self.pattern == "checks":
            return 0.5 * coverage(around * softness) + 0.5 * coverage(up * softness)
        return coverage((around * up - 0.35) * softness)


def draw_solid(canvas: np.ndarray, depth: np.ndarray, solid: dict, paint: Paint) -> None:
    """Draws one solid in place over canvas [S, S, 3] and depth [S, S], where nothing nearer is.

    `solid` holds the floats of one entry of `Solids`, and `along` and `length` of its axis in the
    picture; `paint` gives the surface's colours.
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
    cover = coverage(-distance * scale)
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
    """Darkens canvas [S, S, 3] in place by a soft ellipse on the floor about (x, y)."""
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
    for index in sorted(range(len(solids)), key=lambda i: solids[i]["start"][2] + solids[i]["end"][2]):
        draw_solid(canvas, depth, solids[index], paints[index])
