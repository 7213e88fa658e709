"""Both algorithms against XLA's convolution, at sizes of a few tiles."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.winograd import (
    SAME,
    UPSAMPLED,
    winograd,
    winograd_input_gradient,
    winograd_kernel_gradient,
)

ALGORITHMS = {"same": SAME, "upsampled": UPSAMPLED}
named = pytest.mark.parametrize("name", ALGORITHMS)


def reference(name, x, kernel):
    if name == "upsampled":
        x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def draw(*shapes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def assert_close(actual, expected, tolerance):
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@named
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 1000),
)
def test_values_and_gradients(name, sizes, seed):
    algorithm = ALGORITHMS[name]
    batch, rows, columns, inputs, outputs = sizes
    shape = (batch, rows * algorithm.step, columns * algorithm.step, inputs)

    @jax.jit
    def run(x, kernel, gradient):
        kernel_gradients = [winograd_kernel_gradient(algorithm, x, gradient, looped=looped) for looped in (False, True)]
        return winograd(algorithm, x, kernel), kernel_gradients

    @jax.jit
    def expect(x, kernel, gradient):
        result, pull_back = jax.vjp(lambda *args: reference(name, *args), x, kernel)
        return result, *pull_back(gradient)

    with jax.enable_x64(True):
        x, kernel = draw(shape, (3, 3, inputs, outputs), seed=seed)
        (gradient,) = draw((batch, rows * algorithm.tile, columns * algorithm.tile, outputs), seed=seed + 1)
        result, kernel_gradients = run(x, kernel, gradient)
        expected, expected_input_gradient, expected_kernel_gradient = expect(x, kernel, gradient)
        assert_close(result, expected, 1e-12)
        for kernel_gradient in kernel_gradients:
            assert_close(kernel_gradient, expected_kernel_gradient, 1e-12)
        if name == "upsampled":
            input_gradient = jax.jit(lambda *args: winograd_input_gradient(algorithm, *args))(kernel, gradient)
            assert_close(input_gradient, expected_input_gradient, 1e-12)


@named
def test_automatic_differentiation_agrees(name):
    algorithm = ALGORITHMS[name]
    x, kernel = draw((2, 8, 4, 3), (3, 3, 3, 2), dtype=np.float32)
    result, pull_back = jax.jit(lambda *args: jax.vjp(lambda *a: winograd(algorithm, *a), *args))(x, kernel)
    expected, expected_pull_back = jax.vjp(lambda *args: reference(name, *args), x, kernel)
    assert_close(result, expected, 1e-5)
    for actual, gradient in zip(pull_back(result), expected_pull_back(result), strict=True):
        assert_close(actual, gradient, 1e-5)


@pytest.mark.parametrize(("name", "rows"), [("same", 4), ("same", 8), ("same", 16), ("upsampled", 1), ("upsampled", 4)])
def test_strips_give_what_the_whole_gives(name, rows):
    """Up to all rows of an image, with and without the loop over the rows of a kernel gradient's patches."""
    algorithm = ALGORITHMS[name]
    height = 4 * algorithm.step
    scale = algorithm.tile // algorithm.step
    with jax.enable_x64(True):
        shapes = (3, height, 2 * algorithm.step, 2), (3, 3, 2, 3), (3, height * scale, 2 * algorithm.tile, 3)
        x, kernel, gradient = draw(*shapes)
        finish = functools.partial(jnp.maximum, 0)
        for run in (
            lambda rows: winograd(algorithm, x, kernel, finish, rows),
            lambda rows: winograd_kernel_gradient(algorithm, x, gradient, rows=rows),
            lambda rows: winograd_kernel_gradient(algorithm, x, gradient, looped=True, rows=rows),
        ):
            assert_close(run(rows), run(None), 1e-12)


@pytest.mark.optimized
def test_patches_of_one_strip_at_a_time_are_kept_on_cpu():
    """Of a batch of images; without strips they take 9 times one."""
    x, kernel = draw((4, 64, 64, 16), (3, 3, 16, 16), dtype=np.float32)

    def temporary_bytes(function, *args):
        compiled = jax.jit(function, compiler_options=compiler_options()).lower(*args).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(lambda *args: winograd(SAME, *args, rows=16), x, kernel) < x.nbytes
    assert temporary_bytes(lambda *args: winograd_kernel_gradient(SAME, *args, rows=16), x, x) < x.nbytes


@named
def test_many_channels_in_float32(name):
    """Images after a ReLU, of 256 channels."""
    x, kernel = draw((1, 8, 12, 256), (3, 3, 256, 8), dtype=np.float32)
    x = jax.nn.relu(x)
    actual = jax.jit(lambda *args: winograd(ALGORITHMS[name], *args))(x, kernel)
    assert_close(actual, reference(name, x, kernel), 5e-6)


@pytest.mark.optimized
def test_patches_of_one_row_at_a_time_are_kept_on_cpu():
    """For the gradient of the kernel; all rows of both take 4.5 times the image."""
    (x,) = draw((1, 64, 64, 16), dtype=np.float32)
    gradient = jax.jit(lambda *args: winograd_kernel_gradient(SAME, *args), compiler_options=compiler_options())
    assert gradient.lower(x, x).compile().memory_analysis().temp_size_in_bytes < 3 * x.nbytes


@pytest.mark.optimized
def test_a_loop_over_rows_leaves_a_third_of_the_operations():
    (x,) = draw((1, 64, 64, 16), dtype=np.float32)

    def num_operations(looped):
        gradient = functools.partial(winograd_kernel_gradient, SAME, looped=looped)
        return len(re.findall(r" = ", jax.jit(gradient).lower(x, x).compile().as_text()))

    assert num_operations(True) < num_operations(False) / 3


def test_the_enlargement_needs_no_fractions():
    """In whole numbers it is exact, even in half precision."""
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-3, 4, (1, 3, 4, 2)), rng.integers(-3, 4, (3, 3, 2, 2))
    expected = reference("upsampled", x.astype(np.float32), kernel.astype(np.float32))
    actual = jax.jit(lambda *args: winograd(UPSAMPLED, *args))(x.astype(jnp.float16), kernel.astype(jnp.float16))
    assert actual.dtype == jnp.float16
    np.testing.assert_array_equal(actual.astype(np.float32), expected)


def test_numbers_of_products():
    assert (SAME.patch, SAME.tile, SAME.patch**2) == (6, 4, 36)
    assert (UPSAMPLED.patch, UPSAMPLED.tile, UPSAMPLED.patch**2) == (3, 2, 9)


@named
def test_one_dimension(name):
    """Every pixel of a patch with every weight of a kernel: the tile has the products that a convolution adds."""
    algorithm = ALGORITHMS[name]
    patch, weights = np.eye(algorithm.patch), np.eye(3)
    for i, j in itertools.product(range(algorithm.patch), range(3)):
        products = (algorithm.input @ patch[i]) * (algorithm.kernel @ weights[j])
        # A tile starts at the patch's second pixel, and the kernel reaches one to each side.
        large = patch[i] if name == "same" else np.repeat(patch[i], 2)[1:]
        expected = [large[t : t + 3] @ weights[j] for t in range(algorithm.tile)]
        np.testing.assert_allclose(algorithm.output @ products, expected, atol=1e-12)
