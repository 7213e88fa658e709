import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.fusion import apart, materialize

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
    def calls(platform, function=materialize):
        lowered = jax.jit(function).trace(draw(2, 3)).lower(lowering_platforms=(platform,))
        return lowered.as_text().count('inlineable = "false"')

    assert (calls("cpu"), calls("tpu"), calls("cuda")) == (1, 0, 0)
    assert calls("cpu", jax.vmap(jax.vmap(materialize))) == 1  # a batch as a whole, not example by example


@pytest.mark.optimized
def test_what_many_read_is_computed_once():
    def sines(held):
        def function(x):
            total = held(jnp.sin(x))
            return total.sum(0), total.sum(1), total[::-1].T @ total

        return jax.jit(function).lower(draw(64, 64)).compile().as_text().count(" sine(")

    assert sines(lambda x: x) > sines(materialize) == 1


@pytest.mark.optimized
def test_what_stands_apart_is_one_operation():
    def function(x):
        return jnp.tanh(x @ x) @ x + 1

    text = jax.jit(apart(function)).lower(draw(16, 16)).compile().as_text()
    entry = text[text.index("ENTRY") :]
    assert re.findall(r" = \S+ ([a-z-]+)\(", entry) == ["parameter", "call"]
    x = draw(16, 16, scale=0.1)
    np.testing.assert_allclose(jax.jit(apart(function))(x), jax.jit(function)(x), rtol=1e-6)


@pytest.mark.optimized
def test_what_stands_apart_is_computed_anew():
    """Not kept from before, when it begins with another argument."""

    def products(apart):
        def function(x):
            until = jnp.sin(x @ x)
            return until + apart(lambda x, until: until * (x @ x))(x, until)

        return jax.jit(function).lower(draw(64, 64)).compile().as_text().count(" dot(")

    assert (products(apart), products(lambda function: function)) == (2, 1)
