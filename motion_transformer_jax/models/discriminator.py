"""FOMM's discriminator: a patch discriminator at each of several image sizes."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import CONV_INIT, Layers, block_features
from motion_transformer_jax.ops.coordinates import gaussian_heatmaps
from motion_transformer_jax.ops.reduction import average_pool
from motion_transformer_jax.ops.resize import antialias_downsample

KEYPOINT_VARIANCE = 0.01


class Discriminator(nn.Module):
    """Says of each patch of an image whether it is real.

    Attributes:
        scales: sizes at which the image is looked at, as shares of its own; each has its own network.
        base_features, max_features, num_blocks: channels double from block to block.
        spectral_norm: divide each kernel by its largest singular value (Miyato et al., 2018).
        use_keypoints: look also at keypoints, as one Gaussian each.
    """

    scales: tuple[float, ...]
    base_features: int
    max_features: int
    num_blocks: int
    spectral_norm: bool
    use_keypoints: bool
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array, keypoints: jax.Array) -> list[tuple[list[jax.Array], jax.Array]]:
        """Image [B, H, W, 3] in [0, 1], keypoints [B, K, 2]: for each scale the blocks' features and the map of scores.

        A score of 1 stands for real, 0 for generated.
        """
        results = []
        for scale in self.scales:
            level = antialias_downsample(image, scale, rounding="ceil")
            if self.use_keypoints:
                heatmap = gaussian_heatmaps(keypoints, *level.shape[1:3], variance=KEYPOINT_VARIANCE)
                level = jnp.concatenate([level, heatmap.astype(level.dtype)], axis=-1)
            network = _PatchDiscriminator(
                self.base_features,
                self.max_features,
                self.num_blocks,
                self.spectral_norm,
                self.layers,
                name=f"scale_{scale:g}".replace(".", "-"),
            )
            results.append(network(level))
        return results


class _PatchDiscriminator(nn.Module):
    base_features: int
    max_features: int
    num_blocks: int
    spectral_norm: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        features = []
        for i in range(self.num_blocks):
            width = block_features(self.base_features, self.max_features, i + 1)
            x = self._conv(width, 4, name=f"block_{i}_conv")(x)
            if i > 0:
                x = nn.InstanceNorm(epsilon=1e-5, use_fast_variance=False, name=f"block_{i}_norm")(x)
            x = nn.leaky_relu(x, 0.2)
            if i < self.num_blocks - 1:
                x = average_pool(x)
            features.append(x)
        return features, self._conv(1, 1, name="head")(x)

    def _conv(self, features: int, kernel_size: int, name: str) -> "SpectralConv":
        return SpectralConv(features, kernel_size, self.spectral_norm, self.layers, name=name)


class SpectralConv(nn.Module):
    """A convolution without padding; its kernel is divided by its spectral norm if asked.

    The norm is estimated by one power iteration at each call in training; the two vectors are kept among `batch_stats`.
    """

    features: int
    kernel_size: int
    spectral_norm: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H - kernel_size + 1, W - kernel_size + 1, features]."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", CONV_INIT, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.spectral_norm:
            kernel = kernel / self._spectral_norm(kernel)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.layers.dtype)
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=dimensions) + bias

    def _spectral_norm(self, kernel: jax.Array) -> jax.Array:
        # Rows are outputs, columns run over (input, row, column): the order of the official vectors.
        matrix = kernel.transpose(3, 2, 0, 1).reshape(self.features, -1)
        left = self.variable("batch_stats", "u", self._random_direction, matrix.shape[0])
        right = self.variable("batch_stats", "v", self._random_direction, matrix.shape[1])
        if self.layers.train and not self.is_initializing():
            fixed = jax.lax.stop_gradient(matrix)
            right.value = _unit(left.value @ fixed)
            left.value = _unit(fixed @ right.value)
        return left.value @ matrix @ right.value

    def _random_direction(self, size: int) -> jax.Array:
        return _unit(jax.random.normal(self.make_rng("params"), (size,)))


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
