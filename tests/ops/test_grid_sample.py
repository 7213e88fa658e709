import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.coordinates import coordinate_grid
from motion_transformer_jax.ops.grid_sample import PADDING_MODES, grid_sample

jitted_sample = jax.jit(grid_sample, static_argnames=("padding_mode", "align_corners"))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("case", "abcd")
def test_values_and_gradients_are_pytorchs(case, padding_mode, align_corners, recorded, assert_close):
    def sample(image, grid):
        return grid_sample(image, grid, padding_mode=padding_mode, align_corners=align_corners)

    @jax.jit
    def sample_and_pull_back(image, grid, cotangent):
        result, pullback = jax.vjp(sample, image, grid)
        return result, *pullback(cotangent)

    inputs = (recorded(f"gs_{case}_{name}") for name in ("input", "grid", "cot"))
    result, image_gradient, grid_gradient = sample_and_pull_back(*inputs)
    expected = f"gs_{case}_{padding_mode}_ac{int(align_corners)}_"
    assert_close(result, recorded(expected + "out"))
    assert_close(image_gradient, recorded(expected + "dinput"))
    assert_close(grid_gradient, recorded(expected + "dgrid"), 1e-5)


def test_the_models_own_identity_grid_is_no_identity(recorded, dtype, assert_close):
    """Also the one case that runs without jit."""
    image = recorded("gs_id_input")
    grid = coordinate_grid(6, 8, dtype)[None]
    result = grid_sample(image, grid, padding_mode="zeros", align_corners=False)
    assert_close(result, recorded("gs_id_out"))
    assert jnp.max(jnp.abs(result - image)) > 0.1


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_corner_aligned_identity_returns_the_image(padding_mode):
    image = np.random.default_rng(0).normal(size=(2, 5, 9, 3)).astype(np.float32)
    grid = jnp.broadcast_to(coordinate_grid(5, 9), (2, 5, 9, 2))
    result = jitted_sample(image, grid, padding_mode=padding_mode, align_corners=True)
    np.testing.assert_allclose(result, image, atol=5e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    padding_mode=st.sampled_from(PADDING_MODES),
    align_corners=st.booleans(),
)
def test_linear_in_the_image(seed, padding_mode, align_corners):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 1, 4, 5, 2)).astype(np.float32)
    grid = rng.uniform(-2, 2, size=(1, 3, 4, 2)).astype(np.float32)

    def sample(image):
        return jitted_sample(image, grid, padding_mode=padding_mode, align_corners=align_corners)

    np.testing.assert_allclose(sample(2 * first - 3 * second), 2 * sample(first) - 3 * sample(second), atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), align_corners=st.booleans())
def test_border_and_reflection_never_leave_the_range_of_the_image(seed, align_corners):
    rng = np.random.default_rng(seed)
    image = rng.uniform(size=(1, 4, 5, 1)).astype(np.float32)
    grid = rng.normal(scale=100, size=(1, 3, 4, 2)).astype(np.float32)
    for padding_mode in ("border", "reflection"):
        result = jitted_sample(image, grid, padding_mode=padding_mode, align_corners=align_corners)
        assert image.min() - 1e-5 <= jnp.min(result)
        assert jnp.max(result) <= image.max() + 1e-5


def test_stacked_warps_equal_separate_warps():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    grids = rng.uniform(-1.2, 1.2, size=(2, 4, 5, 7, 2)).astype(np.float32)
    options = {"padding_mode": "zeros", "align_corners": False}
    stacked = jitted_sample(image, grids.reshape(2, 20, 7, 2), **options).reshape(2, 4, 5, 7, 3)
    for k in range(4):
        separate = jitted_sample(image, grids[:, k], **options)
        np.testing.assert_allclose(stacked[:, k], separate, atol=1e-6)


def test_vmap_equals_a_loop():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, 1, 4, 4, 2)).astype(np.float32)
    grids = rng.uniform(-1, 1, size=(3, 1, 2, 2, 2)).astype(np.float32)

    def sample(image, grid):
        return jitted_sample(image, grid, padding_mode="reflection", align_corners=False)

    looped = jnp.stack([sample(i, g) for i, g in zip(images, grids, strict=True)])
    np.testing.assert_allclose(jax.vmap(sample)(images, grids), looped, atol=1e-6)


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_nan_coordinates_give_nan_there_and_nothing_elsewhere(padding_mode):
    image = jnp.ones((1, 4, 4, 1))
    grid = jnp.zeros((1, 1, 3, 2)).at[0, 0, 1, 0].set(jnp.nan)
    result = jitted_sample(image, grid, padding_mode=padding_mode, align_corners=False)
    np.testing.assert_array_equal(result[0, 0, :, 0], [1, np.nan, 1])


@pytest.mark.parametrize(("padding_mode", "expected"), [("zeros", 0), ("border", 1)])
def test_infinite_and_huge_coordinates_lie_outside(padding_mode, expected):
    image = jnp.ones((1, 4, 4, 1))
    grid = jnp.asarray([jnp.inf, -jnp.inf, 1e30, -1e30])[None, None, :, None] * jnp.ones(2)

    def total(grid):
        return jitted_sample(image, grid, padding_mode=padding_mode, align_corners=False).sum()

    value, gradient = jax.value_and_grad(total)(grid)
    assert value == 4 * expected
    np.testing.assert_array_equal(gradient, jnp.zeros_like(grid))


def test_result_has_the_type_of_the_image_and_float32_weights():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.normal(size=(1, 64, 64, 1)), jnp.bfloat16)
    grid = jnp.asarray(rng.uniform(-1, 1, size=(1, 8, 8, 2)), jnp.float32)
    options = {"padding_mode": "zeros", "align_corners": False}
    result = jitted_sample(image, grid, **options)
    assert result.dtype == jnp.bfloat16
    exact = jitted_sample(image.astype(jnp.float32), grid, **options)
    np.testing.assert_array_equal(result, exact.astype(jnp.bfloat16))


def test_many_small_gradients_of_one_bfloat16_pixel_all_count():
    image, grid = jnp.ones((1, 1, 1, 1), jnp.bfloat16), jnp.zeros((1, 64, 64, 2))
    options = {"padding_mode": "zeros", "align_corners": False}
    gradient = jax.grad(lambda image: jnp.sum(jitted_sample(image, grid, **options).astype(jnp.float32)))(image)
    assert gradient.dtype == jnp.bfloat16 and gradient.item() == 64 * 64


@pytest.mark.parametrize(
    ("image", "grid", "padding_mode", "message"),
    [
        ((1, 4, 4, 3), (1, 2, 2, 2), "wrap", "padding_mode is 'wrap'; expected one of"),
        ((4, 4, 3), (1, 2, 2, 2), "zeros", r"got shapes \(4, 4, 3\) and \(1, 2, 2, 2\)"),
        ((1, 4, 4, 3), (1, 2, 2, 3), "zeros", r"got shapes .* and \(1, 2, 2, 3\)"),
        ((2, 4, 4, 3), (1, 2, 2, 2), "zeros", "image has batch 2 but grid has 1"),
    ],
)
def test_refuses(image, grid, padding_mode, message):
    with pytest.raises(ValueError, match=message):
        grid_sample(jnp.zeros(image), jnp.zeros(grid), padding_mode=padding_mode, align_corners=False)


def lowered_gradient(argument, platform):
    image, grid = jax.ShapeDtypeStruct((1, 4, 4, 3), jnp.float32), jax.ShapeDtypeStruct((1, 2, 2, 2), jnp.float32)

    def total(image, grid):
        return grid_sample(image, grid, padding_mode="zeros", align_corners=False).sum()

    return jax.jit(jax.grad(total, argument)).trace(image, grid).lower(lowering_platforms=(platform,))


def test_pixels_are_read_anew_for_gradients():
    """Not kept from the forward pass: apart on CPU, as sums and corners are, behind a barrier elsewhere."""
    texts = [lowered_gradient((0, 1), platform).as_text() for platform in ("cpu", "tpu", "cuda")]
    assert [text.count('inlineable = "false"') for text in texts] == [7, 0, 0]
    assert [text.count("optimization_barrier") for text in texts] == [0, 2, 2]


@pytest.mark.optimized
def test_the_gradient_is_weighted_for_one_corner_at_a_time_on_cpu():
    """For all four at once it takes four times the image, and the result once more."""
    image, grid = jax.ShapeDtypeStruct((1, 64, 64, 32), jnp.float32), jax.ShapeDtypeStruct((1, 64, 64, 2), jnp.float32)

    def image_gradient(image, grid, gradient):
        sample = functools.partial(grid_sample, grid=grid, padding_mode="border", align_corners=True)
        return jax.vjp(sample, image)[1](gradient)

    compiled = jax.jit(image_gradient, compiler_options=compiler_options()).lower(image, grid, image).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 3 * 64 * 64 * 32 * 4


def test_a_photographs_gradient_that_nobody_reads_is_not_computed():
    assert "scatter" in lowered_gradient(0, "cpu").compile().as_text()
    assert "scatter" not in lowered_gradient(1, "cpu").compile().as_text()
