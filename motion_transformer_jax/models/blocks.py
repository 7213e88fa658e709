"""The layers and blocks that all networks share.

Compute type, training mode and the device axis are decided once, in a `Layers` that every module takes as its field
`layers`; no call carries a `train` flag.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.convolution import convolve, convolve_upsampled
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.normalization import batch_normalize
from motion_transformer_jax.ops.reduction import average_pool, spread

# PyTorch's default for convolutions: uniform within 1/sqrt(fan_in).
CONV_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
# In Flax's sense; PyTorch's 0.1.
BATCH_NORM_MOMENTUM = 0.9


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, as PyTorch computes it.

    The running variance takes the unbiased batch variance, which Flax's own BatchNorm does not. Statistics are at
    least float32, whatever the input's type.

    Attributes:
        train: normalise by the batch's statistics and update the running ones.
        axis_name: mapped axis over which the batch is spread; None when it is not.
        num_batches: how many batches of one size lie one behind the other in the input. In training each is normalised
            by its own statistics, and the running ones end as if they had come one after the other.
    """

    train: bool = False
    axis_name: str | None = None
    num_batches: int = 1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, ..., C] to the same shape and type; raises ValueError where num_batches does not divide B."""
        features = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if not self.train:
            factor = jax.lax.rsqrt(running_var.value + self.epsilon) * scale
            return (wide * factor + (bias - running_mean.value * factor)).astype(x.dtype)
        if len(x) % self.num_batches:
            raise ValueError(f"{len(x)} images are not {self.num_batches} batches of one size")
        normalized, mean, var = _normalize_batches(
            wide,
            scale,
            bias,
            running_mean.value,
            running_var.value,
            num_batches=self.num_batches,
            epsilon=self.epsilon,
            axis_name=self.axis_name,
        )
        if not self.is_initializing():
            running_mean.value, running_var.value = mean, var
        return normalized.astype(x.dtype)


# Jitted, so that layers of one shape are traced once.
@functools.partial(jax.jit, static_argnames=("num_batches", "epsilon", "axis_name"))
def _normalize_batches(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    running_mean: jax.Array,
    running_var: jax.Array,
    *,
    num_batches: int,
    epsilon: float,
    axis_name: str | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each batch by its own statistics; with them, the running statistics after the batches."""
    batches = x.reshape(num_batches, -1, *x.shape[1:])
    normalized, means, variances = jax.vmap(lambda batch: batch_normalize(batch, scale, bias, epsilon, axis_name))(
        batches
    )
    num_devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    count = batches[0].size // x.shape[-1] * num_devices
    keep = BATCH_NORM_MOMENTUM
    for mean, var in zip(means, variances * (count / max(count - 1, 1)), strict=True):
        running_mean = keep * running_mean + (1 - keep) * mean
        running_var = keep * running_var + (1 - keep) * var
    return normalized.reshape(x.shape), running_mean, running_var


class Conv(nn.Module):
    """A square convolution.

    Attributes:
        upsample: enlarge the image ×2 first, by nearest pixels; for 3×3 kernels that keep the size.
        dtype: compute type; None follows the input and the parameters.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    upsample: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H', W', features]."""
        kernel = self.param("kernel", CONV_INIT, (self.kernel_size, self.kernel_size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = convolve_upsampled(x, kernel) if self.upsample else convolve(x, kernel, self.stride, self.padding)
        return x if bias is None else x + spread(bias, x)


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes the primitive layers of every network.

    Attributes:
        dtype: compute type of convolutions and matrix products; None follows the input and the parameters.
        train: batch statistics instead of running ones.
        axis_name: mapped axis over which training batches are spread, or None.
        num_batches: how many batches lie one behind the other in an input, see `BatchNorm`.
    """

    dtype: Any = None
    train: bool = False
    axis_name: str | None = None
    num_batches: int = 1

    def conv(
        self,
        features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        use_bias: bool = True,
        upsample: bool = False,
        name: str | None = None,
    ) -> Conv:
        """A square convolution; the default padding keeps the size (divided by the stride)."""
        return Conv(
            features,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2 if padding is None else padding,
            use_bias=use_bias,
            upsample=upsample,
            dtype=self.dtype,
            name=name,
        )

    def norm(self, *, name: str | None = None) -> BatchNorm:
        """Batch normalisation."""
        return BatchNorm(train=self.train, axis_name=self.axis_name, num_batches=self.num_batches, name=name)


class ConvBlock(nn.Module):
    """Convolution, norm, ReLU; at the size that `resample` gives.

    Attributes:
        resample: "same", "up" (nearest ×2 before the convolution) or "down" (2×2 mean after the ReLU).
    """

    features: int
    layers: Layers
    kernel_size: int = 3
    resample: str = "same"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H', W', features]."""
        x = self.layers.conv(self.features, self.kernel_size, upsample=self.resample == "up", name="conv")(x)
        x = nn.relu(self.layers.norm(name="norm")(x))
        if self.resample == "down":
            x = average_pool(x)
        return x


class ResidualBlock(nn.Module):
    """Twice norm, ReLU, convolution; plus the input. No ReLU after the sum."""

    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to the same shape."""
        y = nn.relu(self.layers.norm(name="norm1")(x))
        y = self.layers.conv(x.shape[-1], 3, name="conv1")(y)
        y = nn.relu(self.layers.norm(name="norm2")(y))
        y = self.layers.conv(x.shape[-1], 3, name="conv2")(y)
        return materialize(x + y)


def block_features(base_features: int, max_features: int, level: int) -> int:
    """Channels at a level of a pyramid that doubles them up to a limit; level 0 is full size."""
    return min(max_features, base_features * 2**level)


class Encoder(nn.Module):
    """Down blocks; returns the input and every block's output, largest first."""

    base_features: int
    max_features: int
    num_blocks: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """[B, H, W, C] to num_blocks + 1 maps, the last of size H / 2**num_blocks."""
        maps = [x]
        for i in range(self.num_blocks):
            features = block_features(self.base_features, self.max_features, i + 1)
            maps.append(ConvBlock(features, self.layers, resample="down", name=f"down_{i}")(maps[-1]))
        return maps


class Hourglass(nn.Module):
    """Encoder and decoder with skips; the result ends with the network's own input."""

    base_features: int
    max_features: int
    num_blocks: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H, W, base_features + C]."""
        encoder = Encoder(self.base_features, self.max_features, self.num_blocks, self.layers, name="encoder")
        *maps, x = encoder(x)
        for i, skip in enumerate(reversed(maps)):
            features = block_features(self.base_features, self.max_features, self.num_blocks - 1 - i)
            x = ConvBlock(features, self.layers, resample="up", name=f"up_{i}")(x)
            x = jnp.concatenate([x, skip.astype(x.dtype)], axis=-1)
        return x
