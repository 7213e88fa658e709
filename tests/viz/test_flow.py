import numpy as np
import pytest

from motion_transformer_jax.viz.flow import MAX_DISPLACEMENT, draw_flow, draw_flow_wheel


def shifted_flow(x, height=5, width=7):
    identity = np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)), axis=-1)
    return identity + np.array([x, 0])


def test_flow_is_white_at_rest_and_hue_shows_direction():
    assert draw_flow(shifted_flow(0), 32).min() == 255
    right = draw_flow(shifted_flow(0.4), 32)[16, 16]
    left = draw_flow(shifted_flow(-0.4), 32)[16, 16]
    np.testing.assert_allclose(right, [255, 0, 0], atol=8)
    np.testing.assert_allclose(left, [0, 255, 255], atol=8)
    faint = draw_flow(shifted_flow(0.1), 8)
    assert 150 < faint[4, 4, 1] < 220
    assert draw_flow(shifted_flow(0.1), 8, max_displacement=None)[4, 4, 1] < 8
    assert draw_flow(shifted_flow(np.nan), 8).min() == 255


@pytest.mark.parametrize("direction", [(1, 0), (0, 1), (-1, 0), (0, -1), (0.6, 0.8), (-0.8, -0.6)])
@pytest.mark.parametrize("length", [0.2, 0.5, 0.8])
def test_a_place_on_the_wheel_has_the_colour_of_flow_from_there(direction, length):
    size = 200
    wheel = draw_flow_wheel(size)
    displacement = length * np.array(direction)
    flow = draw_flow(shifted_flow(0) + MAX_DISPLACEMENT * displacement, 8)[4, 4]
    # Beside the axes' lines, which are darker.
    x, y = np.round((displacement + 1) * (size - 1) / 2).astype(int) + 3
    np.testing.assert_allclose(wheel[y, x], flow, atol=24)


def test_the_wheel_is_round():
    wheel = draw_flow_wheel(64)
    assert wheel.shape == (64, 64, 3) and wheel.dtype == np.uint8
    assert wheel[0, 0].tolist() == [255] * 3 and wheel[1, 62].tolist() == [255] * 3
    assert np.ptp(wheel[32, 58]) > 150
