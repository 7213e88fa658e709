"""The warping generator: encode the source, warp its features by the flow, mask what is hidden, decode.

Occlusion-aware generator of FOMM (section 3.2); with `skips`, the motion transformer's: encoder features of every size
are warped and blended into the decoder.
"""

import flax.linen as nn
import jax

from motion_transformer_jax.models.blocks import ConvBlock, Layers, ResidualBlock, block_features
from motion_transformer_jax.models.dense_motion import DenseMotion
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.grid_sample import grid_sample
from motion_transformer_jax.ops.resize import resize_bilinear


class Generator(nn.Module):
    """Encoder, bottleneck and decoder of the image generator.

    Attributes:
        skips: blend warped encoder features into the decoder, and the warped source into its output.
        align_corners: where [-1, 1] lies in sampling; False as in the official code, see `ops/coordinates.py`.
    """

    base_features: int
    max_features: int
    num_down_blocks: int
    num_bottleneck_blocks: int
    skips: bool
    align_corners: bool
    layers: Layers

    def setup(self):
        """Builds both halves, so that `encode` and `decode` can be called apart."""
        levels = range(self.num_down_blocks + 1)
        features = [block_features(self.base_features, self.max_features, level) for level in levels]
        self.first = ConvBlock(features[0], self.layers, kernel_size=7)
        self.down = [ConvBlock(f, self.layers, resample="down") for f in features[1:]]
        self.bottleneck = [ResidualBlock(self.layers) for _ in range(self.num_bottleneck_blocks)]
        self.up = [ConvBlock(f, self.layers, resample="up") for f in reversed(features[:-1])]
        self.final = self.layers.conv(3, 7)

    def encode(self, source: jax.Array) -> tuple[jax.Array, ...]:
        """Source image [B, H, W, 3] in [0, 1] to its features, full size first."""
        # Written once: XLA's CPU backend would compute the last ReLU for the warp, and anew for the next block.
        features = [materialize(self.first(source))]
        for block in self.down:
            features.append(materialize(block(features[-1])))
        return tuple(features)

    def warp(self, features: jax.Array, deformation: jax.Array) -> jax.Array:
        """Features [B, H, W, C] or [1, H, W, C] looked up at a deformation [B, h, w, 2], resized to H × W first."""
        deformation = resize_bilinear(deformation, *features.shape[1:3], align_corners=self.align_corners)
        return grid_sample(features, deformation, padding_mode="zeros", align_corners=self.align_corners)

    def decode(self, source: jax.Array, features: tuple[jax.Array, ...], motion: DenseMotion) -> jax.Array:
        """Warps the features (of `encode`, of B sources or of one) and decodes them: [B, H, W, 3] in [0, 1]."""
        warped = self.warp(features[-1], motion.deformation)
        x = warped * self._occlusion_for(warped, motion)
        for block in self.bottleneck:
            x = block(x)
        if self.skips:
            # The first blend takes the very map that was warped for the bottleneck.
            x = self._blend(x, warped, motion)
        for i, block in enumerate(self.up):
            x = block(x)
            if self.skips:
                x = self._blend(x, self.warp(features[-2 - i], motion.deformation), motion)
        image = nn.sigmoid(self.final(x).astype(source.dtype))
        if self.skips:
            image = self._blend(image, self.warp(source, motion.deformation), motion)
        return image

    def _blend(self, x: jax.Array, warped: jax.Array, motion: DenseMotion) -> jax.Array:
        occlusion = self._occlusion_for(warped, motion)
        return warped * occlusion + x * (1 - occlusion)

    def _occlusion_for(self, features: jax.Array, motion: DenseMotion) -> jax.Array:
        occlusion = resize_bilinear(motion.occlusion, *features.shape[1:3], align_corners=self.align_corners)
        return occlusion.astype(features.dtype)
