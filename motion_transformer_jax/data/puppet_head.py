"""Puppets' heads: a face, hair and a hat painted on an ellipsoid, in coordinates that turn with the head."""

import dataclasses

import numpy as np

from motion_transformer_jax.data.puppet_drawing import _cover, _mix

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Look:
    """What a head looks like; `hat` is "none", "beanie", "cap" or "sun_hat", `hair` is "none", "short", "long", "bun" or "tails"."""

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
    """Paints one head of radius `radius` (scene units) whose left, up and forward are the rows of `axes` [3, 3]."""

    look: Look
    radius: float
    core: float
    axes: np.ndarray

    def __call__(self, fraction, normal, roll, along, pixels_per_unit):
        """Colours [h, w, 3] of the points of the head's surface; `fraction` runs from the crown to the chin."""
        look, pixels = self.look, pixels_per_unit * self.radius
        down = ((fraction - 0.5) * self.core + normal[1] * self.radius) / (
            self.radius + self.core / 2
        )
        front = np.sqrt(np.maximum(1 - normal[0] ** 2 - down**2, 0))
        x = normal[0] * along[1] + down * along[0]
        y = down * along[1] - normal[0] * along[0]
        left, up, ahead = (
            float(a[0]) * x + float(a[1]) * y + float(a[2]) * front for a in self.axes
        )
        colours = np.empty((*left.shape, 3), np.float32)
        colours[:] = look.skin
        if self.axes[2, 2] > -0.7:
            colours = self._face(colours, left, up, ahead, pixels)
        if look.hair != "none":
            line = up - 0.72 * ahead - 0.02 + 0.1 * np.cos(look.fringe * left)
            colours = _mix(colours, look.hair_colour, _cover(line * (0.8 * pixels)))
        if look.hat != "none":
            rim = up - (0.42 if look.hat == "beanie" else 0.46) + 0.06 * ahead
            colours = _mix(colours, look.hat_colour, _cover(rim * pixels))
            band = np.minimum(rim, 0.22 - rim)
            colours = _mix(colours, look.hat_band, _cover(band * pixels))
        return colours

    def _face(self, colours, left, up, ahead, pixels):
        look, size = self.look, self.look.eye_size
        hidden = 9.0 * (ahead < 0)
        aside = np.abs(left) + hidden
        cheek = ((aside - 0.52) / 0.2) ** 2 + ((up + 0.3) / 0.13) ** 2
        blush = (0.95, 0.42, 0.42)
        colours = _mix(colours, blush, 0.45 * np.exp(-cheek))
        eye = np.sqrt((aside - look.eye_spacing) ** 2 + (0.75 * (up + 0.02)) ** 2)
        colours = _mix(colours, _WHITE, _cover((size - eye) * pixels))
        iris = np.sqrt((aside - look.eye_spacing) ** 2 + (0.85 * (up + 0.03)) ** 2)
        colours = _mix(colours, look.iris, _cover((0.72 * size - iris) * pixels))
        colours = _mix(colours, _DARK, _cover((0.5 * size - iris) * pixels))
        glint = np.sqrt((left - 0.05 - np.sign(left) * look.eye_spacing) ** 2 + (up - 0.05) ** 2)
        colours = _mix(colours, _WHITE, _cover((0.24 * size - glint - hidden) * pixels))
        brow = np.abs(up - 0.27 + 0.6 * (aside - look.eye_spacing) ** 2) + hidden
        brow = np.maximum(brow - 0.035, np.abs(aside - look.eye_spacing) - 0.15)
        colours = _mix(colours, look.hair_colour, _cover(-brow * pixels))
        lips = up + 0.5 - look.smile * left**2
        mouth = np.maximum(np.abs(lips + 0.02) - 0.055, aside - 0.27)
        colours = _mix(colours, (0.62, 0.16, 0.2), _cover(-mouth * pixels))
        if look.glasses:
            ring = np.abs(eye - size - 0.07) - 0.035
            bridge = np.maximum(np.abs(up - 0.02) - 0.03, aside - look.eye_spacing + size)
            colours = _mix(colours, _DARK, _cover(-np.minimum(ring, bridge) * pixels))
        return colours
