"""Colour adjustments held to torchvision's (color.npz: two images with noise, greys, black, white and pure colours)."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops import color
from motion_transformer_jax.ops.color import ADJUSTMENTS, adjust_in_order

TOLERANCE = 2e-6


@functools.cache
def jitted(name):
    return jax.jit(getattr(color, f"adjust_{name}"))


@pytest.fixture(scope="module")
def images(golden):
    return golden("color")["image"]


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_adjustments_are_torchvisions(name, golden):
    recorded = golden("color")
    for amount, expected in zip(recorded[f"{name}_amounts"], recorded[name], strict=True):
        adjusted = jitted(name)(recorded["image"], amount)
        assert adjusted.dtype == np.float32
        np.testing.assert_allclose(adjusted, expected, atol=TOLERANCE, err_msg=f"{name} {amount}")


@pytest.mark.parametrize("name", ["contrast", "hue"])
def test_each_image_may_have_its_own_amount(name, images):
    amounts = np.float32([0.25, 0.4])
    each = [jitted(name)(image, amount) for image, amount in zip(images, amounts, strict=True)]
    np.testing.assert_allclose(jitted(name)(images, amounts), np.stack(each), atol=1e-6)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_the_neutral_amount_changes_nothing(name, images):
    adjusted = jitted(name)(images, 0.0 if name == "hue" else 1.0)
    assert adjusted.min() >= 0 and adjusted.max() <= 1
    np.testing.assert_allclose(adjusted, images, atol=2e-7)


def test_thirds_of_a_turn_exchange_the_primaries(images):
    for turn in (1, -2):
        np.testing.assert_allclose(jitted("hue")(images, turn), images, atol=5e-7)
    np.testing.assert_allclose(jitted("hue")(images, 1 / 3), np.roll(images, 1, axis=-1), atol=1e-6)
    np.testing.assert_allclose(jitted("hue")(images, -1 / 3), np.roll(images, -1, axis=-1), atol=1e-6)


def test_hue_keeps_greys_and_the_extremes_of_a_pixel(images):
    turned = np.asarray(jitted("hue")(images, 0.217))
    for extreme in (np.min, np.max):
        np.testing.assert_allclose(extreme(turned, axis=-1), extreme(images, axis=-1), atol=1e-6)
    greys = np.repeat(np.linspace(0, 1, 20, dtype=np.float32)[None, :, None], 3, axis=-1)
    np.testing.assert_array_equal(jitted("hue")(greys, 0.217), greys)


AMOUNTS = {"brightness": 1.2, "contrast": 0.7, "saturation": 1.5, "hue": 0.2}


@pytest.mark.parametrize("names", [ADJUSTMENTS, ("hue", "contrast"), ADJUSTMENTS[:3], ("saturation",), ()])
@pytest.mark.parametrize("mapped", [jax.vmap, lambda function: functools.partial(jax.lax.map, function)])
def test_every_order_is_that_of_one_adjustment_after_the_other(names, mapped, images):
    """All orders, an example each: at once, where all adjustments are computed, and one by one."""
    orders = np.array([*itertools.permutations(range(len(names)))])
    frames = [jnp.broadcast_to(image, (len(orders), *image.shape)) for image in images]
    amounts = np.broadcast_to(np.float32([AMOUNTS[name] for name in names]), orders.shape)
    adjust = mapped(lambda example: adjust_in_order(example[0], names, *example[1:]))
    in_order = jax.jit(adjust)((frames, amounts, orders))
    assert len(in_order) == 2
    for image, adjusted in zip(images, in_order, strict=True):
        results = set()
        for order, actual in zip(orders, adjusted, strict=True):
            expected = image
            for index in order:
                expected = jitted(names[index])(expected, AMOUNTS[names[index]])
            np.testing.assert_allclose(actual, expected, atol=TOLERANCE, err_msg=str(order))
            results.add(np.asarray(expected).tobytes())
        assert len(results) == len(orders)  # the order matters, or this shows nothing


def test_float64_stays():
    with jax.enable_x64(True):
        image, amounts = jnp.zeros((4, 4, 3)), jnp.ones(4, jnp.float32)
        adjust = functools.partial(adjust_in_order, adjustments=ADJUSTMENTS)
        (adjusted,) = jax.eval_shape(adjust, [image], amounts=amounts, order=jnp.arange(4))
        assert (adjusted.shape, adjusted.dtype) == (image.shape, jnp.float64)
