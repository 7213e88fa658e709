"""Puppets' heads: face, hair and hat painted on an ellipsoid, in coordinates that turn with it."""

import dataclasses

import numpy as np

from motion_transformer_jax.data.puppet_drawing import coverage, mix_colours

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Look:
    """What a head looks like.

    `hair` is "none", "short", "long", "bun" or "tails"; `hat` is "none", "beanie", "cap" or
    "sun_hat"; eye sizes are fractions of the head's radius.
    """

    skin: Colour
    hair_colour: Colour
    hair: str
    fringe: float
    hat: str
    hat_colour: Colour
    hat_band: Colour
    iris: Colour
    eye_spacing: float
    eye_size: float
    smile: float
    glasses: bool


_DARK = (0.13, 0.1, 0.14)
_WHITE = (1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class HeadPaint:
    """Paints a head whose left, up and forward are the rows of `axes` [3, 3].

    `radius` and the length of the solid's `core` are in scene units.
    """

    look: Look
    radius: float
    core: float
    axes: np.ndarray

    def __call__(self, fraction, normal, roll, along, pixels_per_unit):
        """Colours [h, w, 3] of the points of a surface; `fraction` runs from crown to chin."""
        look, pixels = self.look, pixels_per_unit * self.radius
        down = ((fraction - 0.5) * self.core + normal[1] * self.radius) / (self.radius + self.core / 2)
        front = np.sqrt(np.maximum(1 - normal[0] ** 2 - down**2, 0))
        x = normal[0] * along[1] + down * along[0]
        y = down * along[1] - normal[0] * along[0]
        left, up, ahead = (float(a[0]) * x + float(a[1]) * y + float(a[2]) * front for a in self.axes)
        colours = np.empty((*left.shape, 3), np.float32)
        colours[:] = look.skin
        if self.axes[2, 2] > -0.7:
            colours = self._face(colours, left, up, ahead, pixels)
        if look.hair != "none":
            line = up - 0.72 * ahead - 0.02 + 0.1 * np.cos(look.fringe * left)
            colours = mix_colours(colours, look.hair_colour, coverage(line * (0.8 * pixels)))
        if look.hat != "none":
            rim = up - (0.42 if look.hat == "beanie" else 0.46) + 0.06 * ahead
            colours = mix_colours(colours, look.hat_colour, coverage(rim * pixels))
            band = np.minimum(rim, 0.22 - rim)
            colours = mix_colours(colours, look.hat_band, coverage(band * pixels))
        return colours

    def _face(self, colours, left, up, ahead, pixels):
        look, size = self.look, self.look.eye_size
        hidden = 9.0 * (ahead < 0)
        aside = np.abs(left) + hidden
        cheek = ((aside - 0.52) / 0.2) ** 2 + ((up + 0.3) / 0.13) ** 2
        blush = (0.95, 0.42, 0.42)
        colours = mix_colours(colours, blush, 0.45 * np.exp(-cheek))
        eye = np.sqrt((aside - look.eye_spacing) ** 2 + (0.75 * (up + 0.02)) ** 2)
        colours = mix_colours(colours, _WHITE, coverage((size - eye) * pixels))
        iris = np.sqrt((aside - look.eye_spacing) ** 2 + (0.85 * (up + 0.03)) ** 2)
        colours = mix_colours(colours, look.iris, coverage((0.72 * size - iris) * pixels))
        colours = mix_colours(colours, _DARK, coverage((0.5 * size - iris) * pixels))
        glint = np.sqrt((left - 0.05 - np.sign(left) * look.eye_spacing) ** 2 + (up - 0.05) ** 2)
        colours = mix_colours(colours, _WHITE, coverage((0.24 * size - glint - hidden) * pixels))
        brow = np.abs(up - 0.27 + 0.6 * (aside - look.eye_spacing) ** 2) + hidden
        brow = np.maximum(brow - 0.035, np.abs(aside - look.eye_spacing) - 0.15)
        colours = mix_colours(colours, look.hair_colour, coverage(-brow * pixels))
        lips = up + 0.5 - look.smile * left**2
        mouth = np.maximum(np.abs(lips + 0.02) - 0.06, aside - 0.3)
        colours = mix_colours(colours, (0.62, 0.16, 0.2), coverage(-mouth * pixels))
        if look.glasses:
            ring = np.abs(eye - size - 0.06) - 0.028
            bridge = np.maximum(np.abs(up - 0.02) - 0.03, aside - look.eye_spacing + size)
            colours = mix_colours(colours, _DARK, coverage(-np.minimum(ring, bridge) * pixels))
        return colours
