"""Attention against its formula, differentiated by JAX."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.attention import attention
from motion_transformer_jax.ops.backend import compiler_options

SCALE = 0.3


def draw(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def formula(queries, keys, values, bias):
    logits = SCALE * jnp.einsum("bihd,bjhd->bhij", queries, keys)
    weights = jax.nn.softmax(logits if bias is None else logits + bias)
    return jnp.einsum("bhij,bjhd->bihd", weights, values), weights


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("num_tokens", [7, 48])
def test_values_and_gradients(num_tokens, biased, dtype):
    queries, keys, values = draw(3, 2, num_tokens, 4, 5, dtype=dtype)
    bias = draw(num_tokens, num_tokens, dtype=dtype, seed=1) if biased else None
    cotangent = draw(2, num_tokens, 4, 5, dtype=dtype, seed=2)

    def run(function):
        (result, weights), pull_back = jax.vjp(lambda *x: function(*x, bias), queries, keys, values)
        return result, weights, *pull_back((cotangent, jnp.zeros_like(weights)))

    actual = jax.jit(lambda: run(lambda *x: attention(*x, SCALE)))()
    for found, expected in zip(actual, jax.jit(lambda: run(formula))(), strict=True):
        assert found.dtype == expected.dtype == dtype
        np.testing.assert_allclose(found, expected, atol=2e-6 if dtype == "float32" else 1e-13)


def test_half_precision_has_logits_and_weights_in_single():
    queries, keys, values = draw(3, 2, 7, 4, 5, dtype=jnp.bfloat16)
    result, weights = jax.jit(lambda *x: attention(*x, None, SCALE))(queries, keys, values)
    assert (result.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
    gradients = jax.jit(jax.grad(lambda *x: attention(*x, None, SCALE)[0].astype(float).sum(), (0, 1, 2)))(
        queries, keys, values
    )
    assert {gradient.dtype for gradient in gradients} == {jnp.dtype(jnp.bfloat16)}
    wide = [x.astype(jnp.float32) for x in (queries, keys, values)]
    np.testing.assert_allclose(result.astype(jnp.float32), formula(*wide, None)[0], atol=0.02)


def test_rows_of_weights_are_reduced_in_parts_on_cpu():
    """And large logits do not overflow."""
    queries, keys, values = (1e4 * x for x in draw(3, 1, 64, 2, 5))
    program = jax.jit(lambda *x: attention(*x, None, SCALE)[1])
    weights = program(queries, keys, values)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    shape = re.escape("tensor<1x2x64x16xf32>")
    assert (
        len(re.findall(rf"call @_materialize\w*\(.*\) : \({shape}\)", program.lower(queries, keys, values).as_text()))
        == 2
    )


@pytest.mark.optimized
def test_one_array_of_pairs_is_kept_on_cpu():
    """By several layers, each."""
    x, num_layers = draw(1, 128, 4, 8), 6

    def loss(x):
        for _ in range(num_layers):
            x = x + attention(x, x, x, None, SCALE)[0]
        return jnp.sum(x**2)

    program = jax.jit(jax.grad(loss), compiler_options=compiler_options()).lower(x).compile()
    pairs = 4 * 128 * 128 * x.itemsize
    assert program.memory_analysis().temp_size_in_bytes < (num_layers + 5) * pairs


def test_nothing_of_all_pairs_of_tokens_is_kept():
    queries, keys, values = draw(3, 2, 48, 4, 5)
    _, pull_back = jax.vjp(lambda *x: attention(*x, None, SCALE)[0], queries, keys, values)
    assert max(x.size for x in jax.tree.leaves(pull_back)) == queries.size
