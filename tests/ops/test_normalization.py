"""Batch normalisation by a batch's own statistics against plain formulas."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.normalization import batch_normalize

EPSILON = 1e-5


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(x, scale, bias):
    axes = range(x.ndim - 1)
    mean, variance = jnp.mean(x, axes), jnp.var(x, axes)
    return (x - mean) / jnp.sqrt(variance + EPSILON) * scale + bias, mean, variance


def ours(x, scale, bias):
    return batch_normalize(x, scale, bias, EPSILON, None)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 5), (2, 4, 3, 5), (2, 16, 8, 5), (2, 11, 3, 5)])
def test_values_and_gradients(shape):
    x, scale, bias, cotangent = draw(*shape), draw(5, seed=1), draw(5, seed=2), draw(*shape, seed=3)

    def with_gradients(function):
        def loss(*args):
            results = function(*args)
            return jnp.sum(results[0] * cotangent), results

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(x, scale, bias)

    for a, b in zip(*(jax.tree.leaves(with_gradients(f)) for f in (ours, plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_no_gradient_flows_into_the_statistics():
    gradients = jax.grad(lambda *args: sum(jnp.sum(s) for s in ours(*args)[1:]), (0, 1, 2))(draw(3, 5), *draw(2, 5))
    assert not any(np.any(gradient) for gradient in gradients)


def test_gradients_are_written_once():
    """The incoming one, which two sums and the result read, and the result, which a convolution's three parts read."""
    x, scale, bias = draw(2, 16, 16, 32), draw(32, seed=1), draw(32, seed=2)
    backward = jax.jit(lambda *args: jax.vjp(lambda *args: ours(*args)[0], *args[:3])[1](args[3]))
    text = backward.lower(x, scale, bias, x).as_text()
    assert len(re.findall(r"call @_materialize\w*\(.*\) : \(tensor<2x16x16x32xf32>\)", text)) == 2
