"""Where puppets perform: soft, paler backgrounds that do not compete with the figure."""

import colorsys
import dataclasses

import numpy as np

_KINDS = ("gradient", "blobs", "stripes", "room", "noise")


@dataclasses.dataclass(frozen=True)
class Scenery:
    """A background as a function of the place.

    `palette` is three colours [3, 3]; `waves` numbers [8, 4] in [0, 1] that each kind uses its way.
    """

    kind: str
    palette: np.ndarray
    waves: np.ndarray

    def draw(self, size: int, offset: float) -> np.ndarray:
        """The background, float32 [size, size, 3] in [0, 1], `offset` scene units to the left."""
        grid = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        x, y = grid[None, :] + np.float32(offset), grid[:, None]
        first, second, third = self.palette
        base = first + ((y + 1) / 2)[..., None] * (second - first)
        image = np.broadcast_to(base, (size, size, 3)).astype(np.float32)
        image = getattr(self, f"_{self.kind}")(image, x, y, third, size)
        return np.ascontiguousarray(np.clip(image, 0, 1))

    def _gradient(self, image, x, y, colour, size):
        tilt = 2 * self.waves[0, 0] - 1
        return _blend(image, colour, 0.6 / (1 + np.exp(-2.5 * (x + tilt * y))))

    def _blobs(self, image, x, y, colour, size):
        for a, b, c, d in self.waves:
            away = (x - 2.4 * a + 1.2) ** 2 + (y - 2 * b + 1) ** 2
            image = _blend(image, colour, (0.3 + 0.4 * d) * np.exp(-away / (0.05 + 0.12 * c)))
        return image

    def _stripes(self, image, x, y, colour, size):
        a, b, c, _ = self.waves[0]
        angle, wave = np.pi * a, 2 * np.pi / (0.3 + 0.5 * b)
        ramp = np.sin(wave * (np.cos(angle) * x + np.sin(angle) * y) + 6 * c)
        return _blend(image, colour, 0.6 * np.clip(0.5 + ramp * size / 2 / wave, 0, 1))

    def _room(self, image, x, y, colour, size):
        a, b, c, _ = self.waves[0]
        wave = 2 * np.pi / (0.25 + 0.3 * a)
        paper = np.clip(0.5 + np.sin(wave * x + 6 * b) * size / 2 / wave, 0, 1)
        image = _blend(image, self.palette[1], 0.35 * paper)
        line = 0.55 + 0.12 * c
        floor = np.clip(0.5 + (y - line) * size / 2, 0, 1) + 0 * x
        image = _blend(image, colour * 0.85, floor)
        skirting = np.clip(0.5 + (0.025 - np.abs(y - line)) * size / 2, 0, 1) + 0 * x
        return _blend(image, np.array([0.97, 0.96, 0.93]), skirting)

    def _noise(self, image, x, y, colour, size):
        total = 0
        for index, (a, b, c, _) in enumerate(self.waves):
            rate = 2 + 1.3 * index
            total = total + np.sin(rate * (x * np.cos(6.3 * a) + y * np.sin(6.3 * a)) + 6.3 * b) * c
        return _blend(image, colour, np.clip(0.4 + 0.22 * total, 0, 0.9))


def _blend(image, colour, weight):
    return image + np.asarray(weight, np.float32)[..., None] * (colour.astype(np.float32) - image)


def sample_scenery(rng: np.random.Generator) -> Scenery:
    """Draws a background: its kind and three pale or muted colours of related hues."""
    kind = _KINDS[rng.integers(len(_KINDS))]
    hue, dark = rng.random(), rng.random() < 0.3
    palette = []
    for step in (0.0, rng.uniform(-0.12, 0.12), rng.uniform(0.1, 0.5)):
        value = rng.uniform(0.28, 0.5) if dark else rng.uniform(0.78, 0.97)
        palette.append(colorsys.hsv_to_rgb((hue + step) % 1, rng.uniform(0.1, 0.36), value))
    return Scenery(kind, np.array(palette, np.float32), rng.random((8, 4)).astype(np.float32))
