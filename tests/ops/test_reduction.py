"""Sums and pools against JAX's and Flax's own."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.reduction import (
    average_pool,
    fold_channels,
    max_pool,
    sum_channels,
    sum_pixels,
    tree_norm,
)

SHAPES = [(3, 4), (2, 3, 4), (2, 5, 3, 4), (2, 11, 3, 4), (2, 2, 3, 1, 5), (1, 2, 64, 3, 2)]
POOLS = {
    "max": (max_pool, lambda x: nn.max_pool(x, (2, 2), (2, 2))),
    "average": (average_pool, lambda x: nn.avg_pool(x, (2, 2), (2, 2))),
}


def draw(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def pulled_back(function):
    """x and the result's cotangent to the result and the gradient."""

    def run(x, cotangent):
        result, pull_back = jax.vjp(function, x)
        return result, *pull_back(cotangent)

    return run


@pytest.mark.parametrize("shape", SHAPES)
def test_sum_over_pixels(shape, dtype):
    x, cotangent = draw(*shape, dtype=dtype), draw(shape[-1], dtype=dtype)
    result, gradient = jax.jit(pulled_back(sum_pixels))(x, cotangent)
    assert result.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(
        result, jnp.sum(x, axis=range(len(shape) - 1)), atol=1e-5 if dtype == "float32" else 1e-12
    )
    np.testing.assert_array_equal(gradient, jnp.broadcast_to(cotangent, shape))


def test_the_sum_of_many_pixels_rounds_less_than_one_after_the_other():
    x = np.full((256, 256, 1), 0.1, np.float32)
    exact = x.sum(dtype=np.float64)
    in_turn = np.cumsum(x)[-1]
    assert abs(jax.jit(sum_pixels)(x)[0] - exact) < 1e-5 * exact < abs(in_turn - exact)


def test_norm_of_a_tree(dtype):
    """Of few and of many small arrays, and of large ones."""
    small = [draw(5, dtype=dtype), draw(2, 3, dtype=dtype)] * 50
    tree = {"kernel": draw(3, 3, 64, 32, dtype=dtype), "small": small, "one": draw(dtype=dtype)}
    norm = jax.jit(tree_norm)(tree)
    assert norm.dtype == dtype
    exact = np.sqrt(sum(np.sum(np.square(x, dtype=np.float64)) for x in jax.tree.leaves(tree)))
    np.testing.assert_allclose(norm, exact, rtol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.optimized
def test_squares_of_a_kernel_are_not_written_in_full_on_cpu():
    kernel = draw(3, 3, 64, 64)
    program = jax.jit(tree_norm, compiler_options=compiler_options()).lower(kernel).compile()
    assert program.memory_analysis().temp_size_in_bytes < kernel.nbytes / 4


@pytest.mark.optimized
def test_what_makes_a_sum_is_not_written_in_full_on_cpu():
    x = draw(2, 32, 32, 64)
    program = jax.jit(lambda x, y: sum_pixels(x * y), compiler_options=compiler_options()).lower(x, x).compile()
    assert program.memory_analysis().temp_size_in_bytes < x.nbytes / 4


@pytest.mark.optimized
def test_small_arrays_of_a_norm_share_loops_on_cpu():
    def num_loops(count):
        arrays = [draw(8)] * count
        return (
            jax.jit(tree_norm, compiler_options=compiler_options()).lower(arrays).compile().as_text().count("fusion(")
        )

    assert num_loops(60) <= num_loops(6)


def test_of_max_pooling_a_byte_a_number_is_kept():
    result, pull_back = jax.vjp(max_pool, draw(1, 5, 6, 3))
    assert [x.dtype for x in jax.tree.leaves(pull_back) if x.shape == result.shape] == ["uint8"]


def test_sums_under_vmap():
    x = draw(3, 2, 4, 5)
    np.testing.assert_allclose(jax.vmap(sum_pixels)(x), jnp.sum(x, axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(jax.vmap(sum_channels)(x), jnp.sum(x, axis=-1), atol=1e-5)


CHANNELS = [1, 7, 16, 32, 48, 64, 276]


@pytest.mark.parametrize("channels", CHANNELS)
def test_sum_over_channels(channels, dtype):
    x = draw(2, 3, channels, dtype=dtype)
    result = jax.jit(sum_channels)(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, jnp.sum(x, axis=-1), atol=1e-5 if dtype == "float32" else 1e-12)


def test_the_sum_over_channels_of_a_narrow_type_is_rounded_once():
    x = draw(4, 64, dtype=jnp.bfloat16)
    expected = jnp.sum(x.astype(jnp.float32), axis=-1).astype(jnp.bfloat16)
    np.testing.assert_array_equal(jax.jit(sum_channels)(x), expected)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("operation", [jnp.maximum, jnp.minimum])
def test_folded_channels(channels, operation):
    x = draw(2, 3, channels)
    folded = jax.jit(functools.partial(fold_channels, operation=operation))(x)
    assert folded.shape[-1] == {32: 16, 48: 16, 64: 16, 276: 23}.get(channels, channels)
    reduce = functools.partial(functools.reduce, operation)
    np.testing.assert_array_equal(reduce(folded.transpose(2, 0, 1)), reduce(x.transpose(2, 0, 1)))


@pytest.mark.optimized
def test_what_makes_a_sum_over_channels_is_not_written_in_full_on_cpu():
    x = draw(64, 64, 64)
    program = jax.jit(lambda x, y: sum_channels(x * y), compiler_options=compiler_options()).lower(x, x).compile()
    assert program.memory_analysis().temp_size_in_bytes < 0.3 * x.nbytes


# Odd sizes leave a row or column out.
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (4, 5), (7, 2), (2, 2), (3, 3)])
@pytest.mark.parametrize("name", POOLS)
def test_pools_and_their_gradients_are_flaxs(name, size, dtype):
    check_pool(name, draw(2, *size, 3, dtype=dtype))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", POOLS)
def test_pools_of_narrow_types(name, dtype):
    check_pool(name, draw(2, 5, 6, 3, dtype=dtype), tolerance=0.02)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 1000))
def test_the_gradient_goes_to_the_first_of_equals(seed):
    """After a ReLU most windows have some zeros, and of whole numbers many are equal."""
    numbers = np.random.default_rng(seed).integers(-3, 3, (1, 7, 8, 2)).astype(np.float32)
    check_pool("max", jax.nn.relu(numbers))
    check_pool("max", numbers)


@functools.cache
def jitted_pools(name):
    return [jax.jit(pulled_back(function)) for function in POOLS[name]]


def check_pool(name, x, tolerance=1e-6):
    pool, flaxs = jitted_pools(name)
    batch, height, width, channels = x.shape
    cotangent = draw(batch, height // 2, width // 2, channels, dtype=x.dtype, seed=1)
    for actual, expected in zip(pool(x, cotangent), flaxs(x, cotangent), strict=True):
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
        actual, expected = (np.asarray(array, np.float64) for array in (actual, expected))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=0 if name == "max" else tolerance)


@pytest.mark.parametrize("name", POOLS)
def test_pools_under_vmap(name):
    x, cotangent = draw(3, 2, 5, 4, 2), draw(3, 2, 2, 2, 2)
    actual, expected = (jax.jit(jax.vmap(pulled_back(f)))(x, cotangent) for f in POOLS[name])
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_nothing_is_left_of_one_pixel(name):
    pool, _ = POOLS[name]
    assert pool(jnp.ones((2, 1, 4, 3))).shape == (2, 0, 2, 3)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(pool(x)))(jnp.ones((2, 1, 4, 3))), 0)


def test_max_pool_passes_no_gradient_to_constants():
    x = jax.random.normal(jax.random.key(0), (3, 4, 5, 2))
    gradient = jax.grad(lambda x, count: jnp.sum(jnp.square(max_pool(x, count))))
    expected = gradient(x, 0).at[1:].set(0)
    np.testing.assert_array_equal(gradient(x, 2), expected)
    np.testing.assert_array_equal(max_pool(x, 2), max_pool(x))
