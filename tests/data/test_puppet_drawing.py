"""The rasteriser: coverage against areas, depth against order, textures that stay on their solid."""

import dataclasses

import numpy as np
import pytest

from motion_transformer_jax.data.puppet_drawing import Solids, Texture, draw_solids, surface

RED, BLUE = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def _solids(*rows):
    """Rows of (start, end, radii, half-widths)."""
    columns = [np.array(column, np.float64)[None] for column in zip(*rows, strict=True)]
    return Solids(*columns, np.zeros((1, len(rows))), np.zeros((1, len(rows))))


def _flat(colour):
    return lambda fraction, *_: np.broadcast_to(np.float32(colour), (*fraction.shape, 3))


def _coverage(size, *row):
    """Coverage of one solid: how much of a white canvas it blackens."""
    canvas = np.ones((size, size, 3), np.float32)
    draw_solids(canvas, _solids(row).at(0), [_flat(0 * RED)])
    return 1 - canvas[..., 0]


@pytest.mark.parametrize("size", [32, 101, 256])
def test_coverage_sums_to_the_area(size):
    start, end, radius, width = (-0.31, 0.22, 0.0), (0.27, -0.33, 0.4), 0.17, 0.11
    length = np.hypot(0.58, 0.55)
    pixel = (2 / size) ** 2
    limb = _coverage(size, start, end, (radius, radius), (0, 0)).sum() * pixel
    assert limb == pytest.approx(np.pi * radius**2 + 2 * radius * length, rel=4e-3)
    slab = _coverage(size, start, end, (radius, radius), (width, width)).sum() * pixel
    rounded = np.pi * radius**2 + 2 * radius * (length + 2 * width) + 2 * width * length
    assert slab == pytest.approx(rounded, rel=4e-3)


def test_edges_are_soft_one_pixel_wide():
    cover = _coverage(64, (0.013, -0.5, 0), (0.013, 0.5, 0), (0.2, 0.2), (0, 0))[32]
    assert ((cover > 0.01) & (cover < 0.99)).sum() in (2, 3, 4)
    assert cover.sum() == pytest.approx(0.4 * 32, abs=0.05)


def test_solids_outside_the_frame_draw_nothing():
    assert not _coverage(32, (3, 3, 0), (4, 3, 0), (0.2, 0.2), (0, 0)).any()
    assert _coverage(32, (0.9, 0, 0), (4, 0, 0), (0.2, 0.2), (0, 0)).any()


def test_the_nearer_solid_hides_the_farther_one_wherever_they_cross():
    left_near = ((-0.6, 0, 0.5), (0.6, 0, -0.5), (0.2, 0.2), (0, 0))
    right_near = ((-0.6, 0, -0.5), (0.6, 0, 0.5), (0.2, 0.2), (0, 0))
    for rows, colours in (
        ((left_near, right_near), (RED, BLUE)),
        ((right_near, left_near), (BLUE, RED)),
    ):
        canvas = np.zeros((64, 64, 3), np.float32)
        draw_solids(canvas, _solids(*rows).at(0), [_flat(colour) for colour in colours])
        assert canvas[32, 20, 0] > 0.5 and canvas[32, 20, 2] < 1e-3
        assert canvas[32, 44, 2] > 0.5 and canvas[32, 44, 0] < 1e-3


def test_surface_of_a_ball():
    x = np.array([0.0, 0.3, 0.5, 0.6])
    distance, z, _, normal = surface(x, 0 * x, 1e-6, (0.5, 0.5), (0, 0), 0.0, (2.0, 2.0))
    np.testing.assert_allclose(distance, np.abs(x) - 0.5, atol=1e-6)
    np.testing.assert_allclose(z[:3], 2 + np.sqrt(0.25 - x[:3] ** 2), atol=1e-6)
    np.testing.assert_allclose(normal[0][:3] ** 2 + normal[2][:3] ** 2, 1, atol=1e-6)


@pytest.mark.parametrize("pattern", ["plain", "hoops", "stripes", "checks", "dots", "two_tone"])
def test_textures_show_both_colours_and_stay_between_them(pattern):
    texture = Texture(pattern, (1, 0, 0), (0, 0, 1), 0.1, 0.5, 0.1)
    fraction, across = np.meshgrid(np.linspace(0, 1, 80), np.linspace(-0.95, 0.95, 60))
    colours = texture(fraction, (across, 0 * across, 0 * across), 0.0, (0, 1), 128)
    assert colours.shape == (60, 80, 3) and colours.min() >= 0 and colours.max() <= 1
    np.testing.assert_allclose(colours.sum(-1), 1, atol=1e-5)
    blue = colours[..., 2].mean()
    assert blue == 0 if pattern == "plain" else 0.1 < blue < 0.9


def test_a_texture_turns_with_its_solid_and_ends_where_the_sleeve_does():
    texture = Texture("stripes", (1, 0, 0), (0, 0, 1), 0.1, 0.5, 0.1, trim_from=0.6, trim=(0, 1, 0))
    across = np.linspace(-0.9, 0.9, 50)[None]
    at = lambda fraction, roll: texture(fraction + 0 * across, (across, 0, 0), roll, (0, 1), 256)  # noqa: E731
    assert np.abs(at(0.2, 0.0) - at(0.2, 0.5)).max() > 0.5
    np.testing.assert_allclose(at(0.2, 0.0), at(0.2, 2 * np.pi), atol=1e-4)
    np.testing.assert_array_equal(at(0.9, 0.0)[0], np.tile(np.float32([0, 1, 0]), (50, 1)))


def test_an_emblem_is_on_the_front_only():
    plain = Texture("plain", (1, 0, 0), (1, 0, 0), 1.0, 0.5, 0.1)
    texture = dataclasses.replace(plain, emblem=(0.5, 0.04, (0, 0, 1)))
    place = np.full((1, 1), 0.5)
    for roll, blue in ((0.0, 1), (np.pi, 0), (np.pi / 2, 0)):
        assert texture(place, (0 * place, 0 * place, 1), roll, (0, 1), 256)[0, 0, 2] == blue
