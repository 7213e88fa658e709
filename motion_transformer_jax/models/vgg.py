"""VGG19 features for the perceptual loss (Simonyan and Zisserman, 2015; configuration E)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.ops.color import normalize_imagenet
from motion_transformer_jax.ops.reduction import max_pool

# Convolutions (channels) and poolings up to relu5_1.
CONFIGURATION = (64, 64, "pool", 128, 128, "pool", *[256] * 4, "pool", *[512] * 4, "pool", 512)
# Which convolutions' activations are tapped: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.
TAPPED_CONVOLUTIONS = (0, 2, 4, 8, 12)


class VGG19(nn.Module):
    """The activations relu1_1, relu2_1, relu3_1, relu4_1, relu5_1, or the first few of them.

    Attributes:
        num_taps: how many; nothing behind the last one is computed.
    """

    layers: Layers
    num_taps: int = 5

    @nn.compact
    def __call__(self, image: jax.Array, num_constants: int = 0) -> list[jax.Array]:
        """Image [B, H, W, 3] in [0, 1] to num_taps maps, of sizes 1, 1/2, 1/4, 1/8, 1/16.

        The last `num_constants` images are constants: gradients flow through the others alone, see `convolve`.
        """
        x = normalize_imagenet(image)
        taps, convolution = [], 0
        for item in CONFIGURATION:
            if item == "pool":
                x = max_pool(x, num_constants)
                continue
            x = self.layers.conv(item, 3, relu=True, num_constants=num_constants, name=f"conv_{convolution}")(x)
            if convolution in TAPPED_CONVOLUTIONS:
                taps.append(x)
            convolution += 1
            if len(taps) == self.num_taps:
                break
        return taps


def random_vgg19(seed: int, *, num_taps: int = 5) -> dict:
    """Parameters of a VGG19 with He-normal random weights and zero biases: a workable substitute without any file.

    Returns:
        The module's params tree, float32.
    """
    params = VGG19(Layers(), num_taps).init(jax.random.key(seed), jnp.zeros((1, 32, 32, 3)))["params"]
    init = nn.initializers.he_normal()
    keys = jax.random.split(jax.random.key(seed), len(params))
    return {
        name: {"kernel": init(key, layer["kernel"].shape), "bias": jnp.zeros_like(layer["bias"])}
        for key, (name, layer) in zip(keys, sorted(params.items()), strict=True)
    }
