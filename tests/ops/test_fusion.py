import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.fusion import delay, materialize

TYPES = ["float16", "bfloat16", "float32"]


def draw(*shape, dtype="float32", scale=100):
    return jnp.asarray(scale * np.random.default_rng(0).normal(size=shape), dtype)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", TYPES)
def test_identity(shape, dtype):
    x = draw(*shape, dtype=dtype)
    for function in (materialize, jax.jit(materialize)):
        result = function(x)
        assert result.dtype == x.dtype
        np.testing.assert_array_equal(result, x)


def test_identity_in_float64():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
        result = jax.jit(materialize)(x)
        assert result.dtype == jnp.float64
        np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("first", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 7.9, -3.0, 1e30, -1e30])
def test_whatever_the_first_number(first):
    """It is read as a place."""
    x = draw(3, 4).at[0, 0].set(first)
    np.testing.assert_array_equal(jax.jit(materialize)(x), x)


@pytest.mark.parametrize("dtype", TYPES)
def test_gradient(dtype):
    x, cotangent = draw(2, 3, dtype=dtype), draw(2, 3, dtype=dtype, scale=3)
    result, pull_back = jax.vjp(jax.jit(materialize), x)
    np.testing.assert_array_equal(result, x)
    (gradient,) = jax.jit(pull_back)(cotangent)
    assert gradient.dtype == x.dtype
    np.testing.assert_array_equal(gradient, cotangent)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vmap(axis):
    x = draw(2, 3, 4)
    mapped = jax.vmap(materialize, in_axes=axis, out_axes=axis)
    np.testing.assert_array_equal(jax.jit(mapped)(x), x)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.vmap(jax.vmap(materialize))))(x), x)

    def total(x):
        return jnp.sum(jnp.sin(mapped(x)))

    np.testing.assert_allclose(jax.jit(jax.grad(total))(x), jnp.cos(x), atol=1e-5)
    each = jax.vmap(jax.grad(lambda x: jnp.sum(jnp.sin(materialize(x)))))
    np.testing.assert_allclose(jax.jit(each)(x), jnp.cos(x), atol=1e-5)


def test_only_on_cpu():
    assert (updates("cpu"), updates("tpu"), updates("cuda")) == (1, 0, 0)


def test_a_batch_is_written_as_a_whole():
    """Not example by example."""
    assert updates("cpu", jax.vmap(materialize)) == updates("cpu", jax.vmap(jax.vmap(materialize))) == 1


def updates(platform, function=materialize):
    lowered = jax.jit(function).trace(draw(2, 3)).lower(lowering_platforms=(platform,))
    return lowered.as_text().count("dynamic_update_slice")


@pytest.mark.optimized
def test_the_compiler_leaves_it():
    compiled = jax.jit(lambda x: materialize(2 * x) + 1).lower(draw(2, 3)).compile()
    assert "dynamic-update-slice" in compiled.as_text()


@pytest.mark.parametrize("until", [np.nan, -np.inf, 7.0])
def test_delayed_numbers_are_the_same(until):
    x, signal = draw(3, 4), jnp.full((2,), until)
    for function in (delay, jax.jit(delay)):
        np.testing.assert_array_equal(function(x, signal), x)
    for axes in ((0, None), (0, 0), (None, 0)):
        signals = jnp.stack([signal] * 3) if axes[1] == 0 else signal
        result = jax.jit(jax.vmap(delay, in_axes=axes))(x, signals)
        np.testing.assert_array_equal(result, x if axes[0] == 0 else jnp.stack([x] * 3))


def test_accelerators_have_a_barrier_for_it():
    def lowered(platform):
        return jax.jit(delay).trace(draw(2, 3), draw(4)).lower(lowering_platforms=(platform,)).as_text()

    assert [lowered(platform).count("optimization_barrier") for platform in ("cpu", "tpu", "cuda")] == [0, 1, 1]


@pytest.mark.optimized
def test_what_is_computed_anew_is_not_kept_from_before():
    def products(held):
        def function(x):
            until = jnp.sin(x @ x)
            return until + held(x, until) @ held(x, until)

        return jax.jit(function).lower(draw(64, 64)).compile().as_text().count(" dot(")

    assert (products(delay), products(lambda x, until: x)) == (2, 1)
