import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.resize import (
    antialias_downsample,
    resize_bilinear,
    resize_nearest,
    upsample_nearest,
)

jitted_downsample = jax.jit(antialias_downsample, static_argnums=1, static_argnames="rounding")


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
def test_antialias_downsample_is_the_official_one(scale, recorded, assert_close):
    def downsample(name, rounding):
        return jitted_downsample(recorded(name), scale, rounding=rounding)

    assert_close(downsample("aa_image", "floor"), recorded(f"aa_{scale}_out"), 2e-6)
    assert_close(downsample("aa_ns_image", "floor"), recorded(f"aa_ns_{scale}_mtia_out"), 2e-6)
    assert_close(downsample("aa_ns_image", "ceil"), recorded(f"aa_ns_{scale}_fomm_mraa_out"), 2e-6)


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
def test_antialias_kernel_is_the_official_one_to_the_last_bit(scale, arrays):
    stride = round(1 / scale)
    kernel = arrays[f"aa_kernel_{scale}"]
    size = 2 * len(kernel)
    impulse = np.zeros((1, size * stride, size * stride, 1), np.float32)
    centre = size // 2 * stride
    impulse[0, centre, centre] = 1
    kept = jitted_downsample(impulse, scale, rounding="floor")[0, :, :, 0]
    middle, reach = len(kernel) // 2, len(kernel) // 2 // stride
    around = slice(size // 2 - reach, size // 2 + reach + 1)
    offsets = middle + stride * np.arange(-reach, reach + 1)
    np.testing.assert_array_equal(kept[around, around], kernel[np.ix_(offsets, offsets)])


def test_antialias_downsample_pads_with_zeros():
    constant = jitted_downsample(jnp.ones((1, 64, 64, 1)), 0.25, rounding="floor")[0, :, :, 0]
    np.testing.assert_allclose(constant[4:-4, 4:-4], 1, atol=1e-6)
    assert constant[0, 0] < 0.5


def test_antialias_downsample_at_scale_one_returns_its_input():
    image = jnp.ones((1, 3, 5, 1))
    assert antialias_downsample(image, 1, rounding="floor") is image


@pytest.mark.parametrize(("rounding", "shape"), [("floor", (1, 1, 3, 2)), ("ceil", (1, 2, 4, 2))])
def test_antialias_downsample_rounds_sizes(rounding, shape):
    image = jnp.ones((1, 7, 13, 2))
    assert jitted_downsample(image, 0.25, rounding=rounding).shape == shape


def test_antialias_downsample_under_jit_and_grad(recorded):
    def total(image):
        return jnp.sum(antialias_downsample(image, 0.5, rounding="floor") ** 2)

    image = recorded("aa_ns_image")[:, :8, :6]
    direction = jnp.cos(jnp.arange(image.size, dtype=image.dtype)).reshape(image.shape)
    slope = jnp.vdot(jax.jit(jax.grad(total))(image), direction)
    # A quadratic: the central difference is exact at any step. Not jitted, to run both ways.
    difference = (total(image + direction) - total(image - direction)) / 2
    np.testing.assert_allclose(slope, difference, rtol=1e-4)


@pytest.mark.parametrize(
    ("scale", "rounding", "message"),
    [
        (0.3, "floor", "scale is 0.3; expected 1 or one over a whole number"),
        (2, "floor", "scale is 2; expected"),
        (0, "floor", "scale is 0; expected"),
        (0.5, "round", "rounding is 'round'; expected 'floor' or 'ceil'"),
    ],
)
def test_antialias_downsample_refuses(scale, rounding, message):
    with pytest.raises(ValueError, match=message):
        antialias_downsample(jnp.ones((1, 8, 8, 1)), scale, rounding=rounding)


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [("i16_to64", 64, 64), ("ins_to25x31", 25, 31), ("ins_to7x9", 7, 9)],
)
def test_resize_bilinear_is_pytorchs(name, height, width, recorded, assert_close):
    x = recorded(f"interp_{name.split('_')[0]}_input")
    resize = jax.jit(functools.partial(resize_bilinear, align_corners=False), static_argnums=(1, 2))
    assert_close(resize(x, height, width), recorded(f"interp_{name}"), 2e-6)


def test_resize_bilinear_gradient_is_pytorchs(recorded, assert_close):
    """Runs without jit."""
    _, pullback = jax.vjp(lambda x: resize_bilinear(x, 25, 31, align_corners=False), recorded("interp_ins_input"))
    (gradient,) = pullback(recorded("interp_up_cot"))
    assert_close(gradient, recorded("interp_ins_to25x31_dinput"), 2e-6)


def test_resize_bilinear_to_the_same_size_returns_its_input():
    x = jnp.ones((1, 3, 5, 2))
    assert resize_bilinear(x, 3, 5, align_corners=False) is x


def test_resize_bilinear_with_aligned_corners_keeps_a_coordinate_grid():
    resized = resize_bilinear(coordinate_grid(5, 9)[None], 13, 4, align_corners=True)
    np.testing.assert_allclose(resized[0], coordinate_grid(13, 4), atol=1e-6)


def test_resize_bilinear_from_one_pixel_repeats_it():
    np.testing.assert_array_equal(resize_bilinear(jnp.full((1, 1, 1, 1), 3.0), 2, 4, align_corners=False), 3.0)


@pytest.mark.parametrize(
    ("size", "new_size", "chosen"),
    [(30, 7, [0, 4, 8, 12, 17, 21, 25]), (3, 5, [0, 0, 1, 1, 2]), (4, 4, [0, 1, 2, 3])],
)
def test_resize_nearest_takes_pixel_floor_of_i_times_old_over_new(size, new_size, chosen):
    ramp = jnp.arange(size)
    rows = resize_nearest(ramp.reshape(1, size, 1, 1), new_size, 1)
    columns = resize_nearest(ramp.reshape(1, 1, size, 1), 1, new_size)
    np.testing.assert_array_equal(rows[0, :, 0, 0], chosen)
    np.testing.assert_array_equal(columns[0, 0, :, 0], chosen)


def test_upsample_nearest_is_pytorchs(recorded):
    x = recorded("nearest_ns_input")
    result = upsample_nearest(x, 2)
    np.testing.assert_array_equal(result[:, :12, :12], recorded("nearest_ns_x2"))
    np.testing.assert_array_equal(result, resize_nearest(x, 60, 84))
