"""Augmentation of pairs: its geometry held to scikit-image's, its draws to what the official code draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.data.augment import (
    Augmentation,
    _draw_colours,
    augment_pair,
    draw_warp,
    sampling_grid,
    uncropped,
)
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.ops.grid_sample import grid_sample

FLIPS = {"horizontal_flip": True, "time_flip": True}
COLOURS = {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1}
EVERYTHING = Augmentation(**FLIPS, rotation_degrees=20.0, resize_ratio=(0.9, 1.1), **COLOURS)

augmented = jax.jit(augment_pair, static_argnums=3)


def keys_of(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def frames(count, size=8, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.random((count, size, size, 3), np.float32) for _ in range(2))


@jax.jit
def warped(image, mirrored, degrees, factor, place):
    columns, rows = (
        uncropped(size, factor[None], p[None])[0] for size, p in zip(image.shape[1::-1], place, strict=True)
    )
    grid = sampling_grid(columns, rows, mirrored=mirrored, degrees=degrees)
    return grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)[0]


def moved(image, mirrored=False, degrees=0.0, factor=1.0, place=(0.5, 0.5)):
    return warped(image, mirrored, degrees, np.float32(factor), np.float32(place))


@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_is_scikit_images(mirrored, golden):
    """About the centre, counter-clockwise, of an image that was mirrored first."""
    recorded = golden("augment")
    rotated = recorded["mirrored_and_rotated" if mirrored else "rotated"]
    for angle, expected in zip(recorded["angles"], rotated, strict=True):
        actual = moved(recorded["image"], mirrored, degrees=angle)
        np.testing.assert_allclose(actual, expected, atol=1e-5, err_msg=str(angle))


def test_resizing_is_scikit_images(golden):
    """A larger image is cropped; a smaller one is continued by its edge."""
    recorded = golden("augment")
    image, larger, smaller = (recorded[name] for name in ("image", "larger", "smaller"))
    height, width = image.shape[:2]
    for (left, top), place in {(0, 0): (0, 0), (4, 3): (0.999, 0.999), (2, 1): (0.5, 0.3)}.items():
        expected = larger[top : top + height, left : left + width]
        np.testing.assert_allclose(moved(image, factor=1.26, place=place), expected, atol=1e-5)
    expected = np.pad(smaller, ((1, 2), (2, 2), (0, 0)), mode="edge")
    np.testing.assert_allclose(moved(image, factor=0.76, place=(0.7, 0.7)), expected, atol=1e-5)


def test_an_unmoved_image_stays(golden):
    image = golden("augment")["image"]
    np.testing.assert_allclose(moved(image), image, atol=2e-6)
    np.testing.assert_allclose(moved(image, mirrored=True), image[:, ::-1], atol=2e-6)


def test_rotation_comes_before_resizing():
    """A quarter turn, then the lower right quarter of an image twice as large."""
    image = np.zeros((8, 8, 3), np.float32)
    image[4:, :4] = 1  # lower left: a turn counter-clockwise brings it to the lower right
    assert moved(image, degrees=90.0, factor=2.0, place=(0.999, 0.999))[1:, 1:].min() > 0.99


def test_flips_are_exact_and_never_both():
    """Half of the pairs are flipped in time, and half of the others left to right."""
    source, driving = frames(400, size=2)
    given = [(source, driving), (driving, source), (source[:, :, ::-1], driving[:, :, ::-1])]
    out = augmented(keys_of(400), source, driving, Augmentation(**FLIPS))
    kinds = np.array([[np.all(a == b, axis=(1, 2, 3)) for a, b in zip(out, pair, strict=True)] for pair in given])
    assert np.all(kinds[:, 0] == kinds[:, 1]) and np.all(kinds[:, 0].sum(axis=0) == 1)
    np.testing.assert_allclose(kinds[:, 0].mean(axis=1), [0.25, 0.5, 0.25], atol=0.06)
    for name, kind in (("time_flip", 1), ("horizontal_flip", 2)):
        alone = augmented(keys_of(400), source, driving, Augmentation(**{name: True}))
        flipped = np.all(alone[0] == given[kind][0], axis=(1, 2, 3))
        assert 0.43 < flipped.mean() < 0.57
        for a, b, c in zip(alone, given[kind], given[0], strict=True):
            np.testing.assert_array_equal(a, np.where(flipped[:, None, None, None], b, c))


def test_a_mirrored_pair_is_mirrored_before_it_is_warped():
    source, driving = frames(40)
    mirrored = source[:, :, ::-1], driving[:, :, ::-1]
    turn = Augmentation(rotation_degrees=20.0)
    plain, turned = augmented(keys_of(40), source, driving, turn), augmented(keys_of(40), *mirrored, turn)
    both = augmented(keys_of(40), source, driving, Augmentation(rotation_degrees=20.0, horizontal_flip=True))
    for a, b, c in zip(both, plain, turned, strict=True):
        errors = [np.abs(a - other).max(axis=(1, 2, 3)) for other in (b, c)]
        assert np.minimum(*errors).max() < 1e-5 and 0.2 < np.mean(errors[0] > errors[1]) < 0.8


def test_both_frames_of_a_pair_are_drawn_alike():
    source, _ = frames(6)
    out = augmented(keys_of(6), source, source, EVERYTHING)
    np.testing.assert_array_equal(out[0], out[1])
    same = jnp.broadcast_to(source[:1], source.shape)
    assert len(np.unique(np.round(augmented(keys_of(6), same, same, EVERYTHING)[0], 3), axis=0)) == 6


def test_8_bit_frames_are_as_good():
    source, driving = (np.round(255 * frame).astype(np.uint8) for frame in frames(4))
    for augmentation in (EVERYTHING, Augmentation(**FLIPS), Augmentation()):
        given, expected = (
            augmented(keys_of(4), *pair, augmentation)
            for pair in ((source, driving), (source / np.float32(255), driving / np.float32(255)))
        )
        for a, b in zip(given, expected, strict=True):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_accelerators_get_the_same(monkeypatch):
    """There all pairs go at once."""
    source, driving = frames(4)
    expected = augmented(keys_of(4), source, driving, EVERYTHING)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *operands, cpu, default: default(*operands))
    actual = jax.jit(lambda *pairs: augment_pair(*pairs, EVERYTHING))(keys_of(4), source, driving)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_pairs_key_alone_decides():
    """Not its place in the batch."""
    source, driving = frames(6)
    forth = augmented(keys_of(6), source, driving, EVERYTHING)
    back = augmented(keys_of(6)[::-1], source[::-1], driving[::-1], EVERYTHING)
    for a, b in zip(forth, back, strict=True):
        np.testing.assert_array_equal(a, b[::-1])
        assert a.dtype == np.float32 and a.min() >= 0 and a.max() <= 1
        assert np.all(np.abs(a - source).max(axis=(1, 2, 3)) > 0.01)


def test_what_is_off_is_not_traced_and_changes_no_other_draw():
    source, driving = frames(6)
    trace = functools.partial(jax.make_jaxpr(augment_pair, static_argnums=3), keys_of(6), source, driving)
    nothing = trace(Augmentation())
    assert not nothing.eqns and nothing.jaxpr.outvars == nothing.jaxpr.invars[1:]
    assert not any(name in str(trace(Augmentation(**FLIPS))) for name in ("gather", "cos", "scan", "argsort"))
    assert "gather" in str(trace(Augmentation(rotation_degrees=1.0)))
    plain, flipped = (
        augmented(keys_of(6), source, source, Augmentation(time_flip=flip, brightness=0.5)) for flip in (False, True)
    )
    np.testing.assert_array_equal(flipped, plain)


def test_colour_amounts_and_orders_are_uniform():
    """As torchvision's ColorJitter has them; a factor never falls below 0."""
    colours = Augmentation(brightness=0.1, saturation=1.5, hue=0.5)
    amounts, order = jax.jit(_draw_colours, static_argnums=(1, 2))(
        keys_of(2000), colours, ("brightness", "saturation", "hue")
    )
    ends = np.array([(0.9, 1.1), (0, 2.5), (-0.5, 0.5)])
    np.testing.assert_allclose(amounts.min(axis=0), ends[:, 0], atol=5e-3)
    np.testing.assert_allclose(amounts.max(axis=0), ends[:, 1], atol=5e-3)
    np.testing.assert_allclose(amounts.mean(axis=0), ends.mean(axis=1), atol=0.04)
    orders, counts = np.unique(order, axis=0, return_counts=True)
    assert len(orders) == 6 and np.all(np.abs(counts / 2000 - 1 / 6) < 0.03)
    assert np.all(np.abs(np.corrcoef(np.hstack([amounts, order[:, :2]]).T)[:3] - np.eye(3, 5)) < 0.1)


def test_rotations_and_crops_are_uniform():
    """Of an image of 20 by 20: resized to 18 ... 21, where it is cropped at one of two places."""
    drawn = jax.jit(draw_warp, static_argnums=(1, 2, 3))(keys_of(2000), EVERYTHING, 20, 20)
    degrees, columns, rows = (np.asarray(drawn[name]) for name in ("degrees", "columns", "rows"))
    assert -20 <= degrees.min() < -19.6 and 19.6 < degrees.max() <= 20 and abs(degrees.mean()) < 1.2
    sizes = np.round(20 / (columns[:, 10] - columns[:, 9])).astype(int)
    np.testing.assert_array_equal(np.round(20 / (rows[:, 10] - rows[:, 9])), sizes)
    np.testing.assert_allclose([np.mean(sizes == size) for size in (18, 19, 20, 21)], 0.25, atol=0.04)
    left, top = (positions[sizes == 21, 0] > 0 for positions in (columns, rows))
    assert 0.4 < left.mean() < 0.6 and 0.4 < top.mean() < 0.6 and 0.4 < np.mean(left == top) < 0.6
    assert abs(np.corrcoef(degrees, sizes)[0, 1]) < 0.1


def test_sizes_are_whole_pixels():
    positions = uncropped(20, jnp.array([0.949, 1.0, 1.05, 1.099]), jnp.zeros(4))
    np.testing.assert_allclose(20 / (positions[:, 10] - positions[:, 9]), [18, 20, 21, 21], rtol=1e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hue", 7.0), ("rotation_degrees", -1.0), ("contrast", float("nan")), ("resize_ratio", (0.0, 0.1))],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"augmentation.{field}=.* expected"):
        Augmentation(**{field: value})
