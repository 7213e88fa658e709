"""Batch normalisation by a batch's own statistics, with a gradient of two passes over the image.

What is normalised can be left as it is, for a convolution to read: see `Normalized`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.collectives import mean_over_devices
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.reduction import sum_pixels


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Affine:
    """A factor and a summand for each channel, and perhaps a ReLU.

    Attributes:
      factor: [N, C], of each of N batches of images, one behind the other.
      shift: [N, C], added to it, likewise.
      relu: whether a ReLU follows.
    """

    factor: jax.Array
    shift: jax.Array
    relu: bool = dataclasses.field(metadata={"static": True})

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images [N × B, ..., C] to the same shape and type."""
        factor, shift = (_for_images(channels, x) for channels in (self.factor, self.shift))
        result = _wide(x) * factor + shift
        return (jnp.maximum(result, 0) if self.relu else result).astype(x.dtype)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Normalized:
    """Batches of images, normalised each by its own statistics, before that is computed.

    The gradient by `x` includes that through mean and variance, which themselves pass none on: there is no second one.

    Attributes:
      x: [N × B, ..., C], floating: N batches, one behind the other.
      mean: [N, C], of each batch, over all devices, at least float32.
      variance: [N, C], biased, likewise.
      scale: [C], factor of what has deviation 1.
      bias: [C], added to it.
      epsilon: added to the variance.
      axis_name: mapped axis over which the batches are spread, or None.
      relu: whether a ReLU follows.
    """

    x: jax.Array
    mean: jax.Array
    variance: jax.Array
    scale: jax.Array
    bias: jax.Array
    epsilon: float = dataclasses.field(metadata={"static": True})
    axis_name: str | None = dataclasses.field(metadata={"static": True})
    relu: bool = dataclasses.field(metadata={"static": True})

    def affine(self) -> Affine:
        """What the normalisation does to x."""
        factor = jax.lax.rsqrt(self.variance + self.epsilon) * self.scale
        return Affine(factor, self.bias - self.mean * factor, self.relu)


# These are jitted so that layers of one shape are traced once.
@functools.partial(jax.jit, static_argnames=("num_batches", "axis_name"))
def batch_statistics(x: jax.Array, *, num_batches: int, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance [N, C] of each of N batches over all axes but the last, for `Normalized`."""

    def of_batch(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean = _mean(x, axis_name)
        return mean, _mean(jnp.square(x - mean), axis_name)

    x = jax.lax.stop_gradient(x)
    return jax.vmap(of_batch)(_wide(x.reshape(num_batches, -1, *x.shape[1:])))


@jax.custom_vjp
@jax.jit
def normalize(normalized: Normalized) -> jax.Array:
    """Its images, computed: [N × B, ..., C] in the type of x."""
    return normalized.affine()(normalized.x)


@jax.jit
def normalization_gradients(normalized: Normalized, gradient: jax.Array) -> Normalized:
    """By the images, the scale and the bias, from the gradient by what `normalize` computes, an array in memory."""
    n = normalized
    count = n.x.size // n.mean.size

    def of_batch(x, gradient, mean, variance, affine):
        x, gradient = _wide(x), _wide(gradient)
        gradient = jnp.where(x * affine.factor + affine.shift > 0, gradient, 0) if n.relu else gradient
        deviation = jax.lax.rsqrt(variance + n.epsilon)
        standard = (x - mean) * deviation
        by_bias, by_scale = sum_pixels(gradient), sum_pixels(gradient * standard)
        offset, slope = (mean_over_devices(total / count, n.axis_name) for total in (by_bias, by_scale))
        return affine.factor * (gradient - offset - standard * slope), by_scale, by_bias

    batches, gradients = (array.reshape(len(n.mean), -1, *array.shape[1:]) for array in (n.x, gradient))
    by_x, by_scale, by_bias = jax.vmap(of_batch)(batches, gradients, n.mean, n.variance, n.affine())
    return dataclasses.replace(
        n,
        x=materialize(by_x.reshape(n.x.shape).astype(n.x.dtype)),
        mean=jnp.zeros_like(n.mean),
        variance=jnp.zeros_like(n.variance),
        scale=by_scale.sum(0).astype(n.scale.dtype),
        bias=by_bias.sum(0).astype(n.bias.dtype),
    )


def _forward(normalized: Normalized) -> tuple[jax.Array, Normalized]:
    return normalize(normalized), normalized


def _backward(normalized: Normalized, gradient: jax.Array) -> tuple[Normalized]:
    return (normalization_gradients(normalized, materialize(gradient)),)


normalize.defvjp(_forward, _backward)


def _mean(x: jax.Array, axis_name: str | None) -> jax.Array:
    return mean_over_devices(sum_pixels(x) / (x.size // x.shape[-1]), axis_name)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _for_images(channels: jax.Array, x: jax.Array) -> jax.Array:
    """[N, C], one for each batch, in the shape that spreads over x.

    With a row for each image: XLA's loops would divide each index, were the images reshaped to batches.
    """
    if len(channels) > 1:
        channels = jnp.repeat(channels, len(x) // len(channels), axis=0)
    return channels.reshape(len(channels), *(1,) * (x.ndim - 2), -1)
