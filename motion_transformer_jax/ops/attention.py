"""Attention with a gradient of its own, which keeps no array of all pairs of tokens."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from motion_transformer_jax.ops.fusion import apart, materialize
from motion_transformer_jax.ops.reduction import fold_channels


def attention(
    queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None, scale: float
) -> tuple[jax.Array, jax.Array]:
    """softmax(scale queries · keys + bias) values, for each head alone.

    Args:
      queries, keys, values: [B, T, heads, D], floating.
      bias: [T, T] of the logits, a constant for gradients; None: none.
      scale: factor of the products of queries and keys.

    Returns:
      [B, T, heads, D] in the type of the values, and the weights, [B, heads, T, T] in float32 or wider, which are
      constants for gradients.
    """
    # Tokens of keys and values last: products that give their gradients take a third less time on CPU then.
    queries = materialize(queries.transpose(0, 2, 1, 3))
    keys, values = (materialize(x.transpose(0, 2, 3, 1)) for x in (keys, values))
    result, weights = _attend(queries, keys, values, bias, scale)
    return result.transpose(0, 2, 1, 3), lax.stop_gradient(weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None, scale: float
) -> tuple[jax.Array, jax.Array]:
    """[B, heads, T, D] and twice [B, heads, D, T] to [B, heads, T, D] and [B, heads, T, T]."""
    return _forward(queries, keys, values, bias, scale)[0]


def _forward(queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None, scale: float):
    logits = _logits(queries, keys, bias, scale)
    highest = _along_rows(logits, jnp.maximum, jnp.max)
    powers = materialize(jnp.exp(logits - highest))
    inverse = 1 / _along_rows(powers, jnp.add, jnp.sum)
    weights = materialize(powers * inverse)
    result = jnp.einsum("bhij,bhdj->bhid", weights.astype(values.dtype), values)
    return (result, weights), (queries, keys, values, bias, highest, inverse, result)


def _backward(scale: float, saved: tuple[jax.Array | None, ...], gradients: tuple[jax.Array, jax.Array]):
    arguments, compute = (*saved, gradients[0]), functools.partial(_gradients, scale)
    return *lax.platform_dependent(*arguments, cpu=apart(compute), default=compute), None


def _gradients(scale: float, queries, keys, values, bias, highest, inverse, result, gradient):
    """By queries, keys and values; the weights are computed anew."""
    weights = materialize(jnp.exp(_logits(queries, keys, bias, scale) - highest) * inverse)
    values_gradient = jnp.einsum("bhid,bhij->bhdj", gradient, weights.astype(values.dtype))
    # Each row's mean gradient, under its weights: there is no need to sum over the pairs.
    mean = jnp.sum((gradient * result).astype(weights.dtype), axis=-1, keepdims=True)
    by_weights = _product("bhid,bhdj->bhij", gradient, values)
    by_products = materialize((scale * weights * (by_weights - mean)).astype(queries.dtype))
    queries_gradient = jnp.einsum("bhij,bhdj->bhid", by_products, keys)
    return queries_gradient, jnp.einsum("bhid,bhij->bhdj", queries, by_products), values_gradient


_attend.defvjp(_forward, _backward)


def _logits(queries: jax.Array, keys: jax.Array, bias: jax.Array | None, scale: float) -> jax.Array:
    logits = _product("bhid,bhdj->bhij", queries, keys) * scale
    return logits if bias is None else logits + bias


def _along_rows(x: jax.Array, operation: Callable, reduce: Callable) -> jax.Array:
    """Reduces the last axis, on CPU parts of each row first: XLA's loops along rows hold no vectors."""
    reduce = functools.partial(reduce, axis=-1, keepdims=True)
    return lax.platform_dependent(x, cpu=lambda x: reduce(fold_channels(x, operation)), default=reduce)


def _product(formula: str, *arrays: jax.Array) -> jax.Array:
    """In float32 or wider."""
    wide = jnp.promote_types(arrays[0].dtype, jnp.float32)
    return jnp.einsum(formula, *arrays, preferred_element_type=wide)
