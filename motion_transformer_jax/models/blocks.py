"""The layers and blocks that all networks share.

Compute type, training mode and the device axis are decided once, in a `Layers` that every module takes as its field
`layers`; no call carries a `train` flag.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.ops.convolution import convolve, convolve_normalized, convolve_upsampled
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.normalization import Normalized, batch_statistics, normalize
from motion_transformer_jax.ops.reduction import average_pool

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
        relu: follow with a ReLU.
        deferred: in training, leave the computation to the convolution that reads the result.
    """

    train: bool = False
    axis_name: str | None = None
    num_batches: int = 1
    epsilon: float = 1e-5
    relu: bool = False
    deferred: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array | Normalized:
        """[B, ..., C] to the same shape and type; raises ValueError where num_batches does not divide B."""
        features = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        if not self.train:
            wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
            factor = jax.lax.rsqrt(running_var.value + self.epsilon) * scale
            result = (wide * factor + (bias - running_mean.value * factor)).astype(x.dtype)
            return nn.relu(result) if self.relu else result
        if len(x) % self.num_batches:
            raise ValueError(f"{len(x)} images are not {self.num_batches} batches of one size")
        means, variances = batch_statistics(x, num_batches=self.num_batches, axis_name=self.axis_name)
        if not self.is_initializing():
            count = x.size // x.shape[-1] // self.num_batches
            if self.axis_name is not None:
                count *= jax.lax.axis_size(self.axis_name)
            unbiased = variances * (count / max(count - 1, 1))
            for running, values in ((running_mean, means), (running_var, unbiased)):
                running.value = _follow(running.value, values)
        normalized = Normalized(x, means, variances, scale, bias, self.epsilon, self.axis_name, self.relu)
        return normalized if self.deferred else normalize(normalized)


@jax.jit
def _follow(running: jax.Array, values: jax.Array) -> jax.Array:
    """Running statistics [C] after batches with these values [N, C]."""
    for value in values:
        running = BATCH_NORM_MOMENTUM * running + (1 - BATCH_NORM_MOMENTUM) * value
    return running


class Conv(nn.Module):
    """A square convolution.

    Attributes:
        upsample: enlarge the image ×2 first, by nearest pixels; for 3×3 kernels that keep the size.
        relu: follow with a ReLU.
        num_constants: how many images, the last ones, are constants, see `convolve`; neither enlarged nor of a
            deferred norm.
        dtype: compute type; None follows the input and the parameters.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    upsample: bool = False
    relu: bool = False
    num_constants: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array | Normalized) -> jax.Array:
        """[B, H, W, C] to [B, H', W', features]; raises ValueError where constants are enlarged or normalised."""
        image = x.x if isinstance(x, Normalized) else x
        kernel = self.param("kernel", CONV_INIT, (self.kernel_size, self.kernel_size, image.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        if self.num_constants and (self.upsample or isinstance(x, Normalized)):
            raise ValueError("constant images are for plain convolutions; these enlarge or normalise first")
        image, kernel, bias = nn.dtypes.promote_dtype(image, kernel, bias, dtype=self.dtype)
        if isinstance(x, Normalized):
            result = convolve_normalized(x, kernel, bias, self.stride, self.padding)
        elif self.upsample:
            result = convolve_upsampled(image, kernel, bias)
        else:
            return convolve(image, kernel, bias, self.stride, self.padding, self.relu, self.num_constants)
        return nn.relu(result) if self.relu else result


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
        relu: bool = False,
        num_constants: int = 0,
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
            relu=relu,
            num_constants=num_constants,
            dtype=self.dtype,
            name=name,
        )

    def norm(self, *, relu: bool = False, deferred: bool = False, name: str | None = None) -> BatchNorm:
        """Batch normalisation."""
        return BatchNorm(
            train=self.train,
            axis_name=self.axis_name,
            num_batches=self.num_batches,
            relu=relu,
            deferred=deferred,
            name=name,
        )


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
        x = self.layers.norm(relu=True, name="norm")(x)
        if self.resample == "down":
            x = average_pool(x)
        return x


class ResidualBlock(nn.Module):
    """Twice norm, ReLU, convolution; plus the input. No ReLU after the sum."""

    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to the same shape."""
        y = self.layers.norm(relu=True, deferred=True, name="norm1")(x)
        y = self.layers.conv(x.shape[-1], 3, name="conv1")(y)
        y = self.layers.norm(relu=True, deferred=True, name="norm2")(y)
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
