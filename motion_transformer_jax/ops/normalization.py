"""Batch normalisation by a batch's own statistics, with a gradient of two passes over the image."""

import functools

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.collectives import mean_over_devices
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.reduction import sum_pixels


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises over all axes but the last.

    Args:
      x: [..., W, C], floating.
      scale: [C], factor of what has deviation 1.
      bias: [C], added to it.
      epsilon: added to the variance.
      axis_name: mapped axis over which the batch is spread, or None.

    Returns:
      The normalised x, and the mean and the (biased) variance [C], into which no gradient flows.
    """
    return _normalize(x, scale, bias, epsilon, axis_name)[0]


def _normalize(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None):
    mean = _mean(x, axis_name)
    variance = _mean(jnp.square(x - mean), axis_name)
    deviation = jax.lax.rsqrt(variance + epsilon)
    factor = deviation * scale
    return (x * factor + (bias - mean * factor), mean, variance), (x, mean, deviation, scale)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _backward(epsilon: float, axis_name: str | None, saved: tuple, gradients: tuple):
    x, mean, deviation, scale = saved
    gradient = materialize(gradients[0])
    normalized = (x - mean) * deviation
    count = x.size // x.shape[-1]
    bias_gradient, scale_gradient = sum_pixels(gradient), sum_pixels(gradient * normalized)
    shift, slope = (mean_over_devices(total / count, axis_name) for total in (bias_gradient, scale_gradient))
    return materialize(deviation * scale * (gradient - shift - normalized * slope)), scale_gradient, bias_gradient


batch_normalize.defvjp(_normalize, _backward)


def _mean(x: jax.Array, axis_name: str | None) -> jax.Array:
    return mean_over_devices(sum_pixels(x) / (x.size // x.shape[-1]), axis_name)
