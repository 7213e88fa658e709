"""Batch normalisation by a batch's own statistics against plain formulas."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.normalization import Normalized, batch_statistics, normalize

EPSILON = 1e-5
SHAPES = [(4, 5), (2, 3, 5), (2, 4, 3, 5), (2, 16, 8, 5), (2, 11, 3, 5)]


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(x, scale, bias, *, relu=False):
    axes = range(x.ndim - 1)
    mean, variance = jnp.mean(x, axes), jnp.var(x, axes)
    result = (x - mean) / jnp.sqrt(variance + EPSILON) * scale + bias
    return jnp.maximum(result, 0) if relu else result


def prepared(x, scale, bias, *, relu=False, num_batches=1):
    statistics = batch_statistics(x, num_batches=num_batches, axis_name=None)
    return Normalized(x, *statistics, scale, bias, EPSILON, None, relu)


def ours(x, scale, bias, **options):
    return normalize(prepared(x, scale, bias, **options))


def with_gradients(function, cotangent):
    def loss(*args):
        result = function(*args)
        return jnp.sum(result * cotangent), result

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape, relu):
    arguments = draw(*shape), draw(5, seed=1), draw(5, seed=2)
    actual, expected = (
        with_gradients(functools.partial(function, relu=relu), draw(*shape, seed=3))(*arguments)
        for function in (ours, plain)
    )
    for a, b in zip(*(jax.tree.leaves(both) for both in (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("relu", [False, True])
def test_each_batch_by_its_own_statistics(relu):
    x, scale, bias = draw(3, 4, 6, 2, 5) * draw(3, 1, 1, 1, 1, seed=1), draw(5, seed=2), draw(5, seed=3)
    cotangent = draw(3, 4, 6, 2, 5, seed=4)

    def merged(x, scale, bias):
        return ours(x.reshape(12, 6, 2, 5), scale, bias, num_batches=3, relu=relu).reshape(x.shape)

    def apart(x, scale, bias):
        return jnp.stack([plain(batch, scale, bias, relu=relu) for batch in x])

    actual, expected = (with_gradients(function, cotangent)(x, scale, bias) for function in (merged, apart))
    for a, b in zip(*(jax.tree.leaves(both) for both in (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_statistics_are_those_of_each_batch():
    x = draw(6, 4, 2, 5)
    mean, variance = jax.jit(lambda x: batch_statistics(x, num_batches=3, axis_name=None))(x)
    batches = x.reshape(3, 2, 4, 2, 5)
    np.testing.assert_allclose(mean, batches.mean((1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(variance, batches.var((1, 2, 3)), atol=1e-6)


def test_no_gradient_flows_into_the_statistics():
    def loss(x, scale, bias):
        normalized = prepared(x, scale, bias)
        return jnp.sum(normalized.mean) + jnp.sum(normalized.variance)

    gradients = jax.grad(loss, (0, 1, 2))(draw(3, 5), *draw(2, 5))
    assert not any(np.any(gradient) for gradient in gradients)


def test_narrow_images_keep_their_type_and_have_wide_statistics():
    x, scale, bias = draw(2, 4, 3, 5).astype(jnp.bfloat16), draw(5, seed=1), draw(5, seed=2)
    normalized = prepared(x, scale, bias)
    assert {normalized.mean.dtype, normalized.variance.dtype} == {jnp.dtype(jnp.float32)}
    result, pull_back = jax.vjp(ours, x, scale, bias)
    assert [array.dtype for array in (result, *pull_back(result))] == [*[jnp.bfloat16] * 2, *[jnp.float32] * 2]
    np.testing.assert_allclose(result.astype(jnp.float32), plain(x.astype(jnp.float32), scale, bias), atol=0.03)


def test_gradients_are_written_once():
    """The incoming one, which two sums and the result read, and the result, which a convolution's three parts read."""
    x, scale, bias = draw(2, 16, 16, 32), draw(32, seed=1), draw(32, seed=2)
    backward = jax.jit(lambda *args: jax.vjp(ours, *args[:3])[1](args[3]))
    text = backward.lower(x, scale, bias, x).as_text()
    assert len(re.findall(r"call @_materialize\w*\(.*\) : \(tensor<2x16x16x32xf32>\)", text)) == 2
