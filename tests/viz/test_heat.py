import numpy as np

from motion_transformer_jax.viz.heat import heat_colors


def luminance(colors):
    linear = (np.asarray(colors) / 255) ** 2.2
    return linear @ [0.2126, 0.7152, 0.0722]


def test_heat_gets_lighter_in_equal_steps():
    lightness = np.cbrt(luminance(heat_colors(np.linspace(0, 1, 17))))
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert steps.max() < 2 * steps.mean() and steps.min() > 0.5 * steps.mean()
    assert lightness[0] < 0.2 and lightness[-1] > 0.9


def test_heat_keeps_the_shape_and_clips():
    assert heat_colors(np.zeros((2, 3))).shape == (2, 3, 3) and heat_colors(0.5).dtype == np.uint8
    ends = heat_colors(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(heat_colors(np.array([-1.0, 7.0])), ends)
    np.testing.assert_array_equal(heat_colors(np.nan), ends[0])
