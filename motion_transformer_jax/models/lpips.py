"""LPIPS: the distance of two images as people see it (Zhang et al., CVPR 2018), on AlexNet's features, version 0.1."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import Layers

# AlexNet's convolutions: channels, kernel, stride, padding; all are tapped behind their ReLU.
CONVOLUTIONS = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
POOLED = (0, 1)  # the convolutions before a pooling
LEAST_SIZE = 31  # pixels: smaller images vanish in the poolings
# Of images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """Weighted squared distances of unit feature vectors, averaged over places, summed over the five taps."""

    layers: Layers

    @nn.compact
    def __call__(self, first: jax.Array, second: jax.Array) -> jax.Array:
        """Distances [B] of images [B, H, W, 3] in [0, 1], at least 31 pixels high and wide.

        Raises:
            ValueError: images are smaller.
        """
        if min(first.shape[1:3]) < LEAST_SIZE:
            raise ValueError(f"images of {first.shape[1:3]} pixels; LPIPS takes {LEAST_SIZE} or more")
        x = (2 * jnp.concatenate([first, second]) - 1 - jnp.asarray(_SHIFT)) / jnp.asarray(_SCALE)
        distance = jnp.zeros(len(first))
        for index, (features, size, stride, padding) in enumerate(CONVOLUTIONS):
            options = {"stride": stride, "padding": padding, "relu": True}
            x = self.layers.conv(features, size, **options, name=f"conv_{index}")(x)
            weights = self.param(f"head_{index}", nn.initializers.ones, (features,))
            one, other = jnp.split(x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-10), 2)
            distance += (jnp.square(one - other) * weights).sum(-1).mean((1, 2))
            if index in POOLED:
                x = nn.max_pool(x, (3, 3), strides=(2, 2))
        return distance
