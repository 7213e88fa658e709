"""The paper's motion estimator: backbone, token transformer, keypoint and affine heads."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.backbone import create_backbone
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.models.token_transformer import TokenTransformer
from motion_transformer_jax.ops.color import normalize_imagenet
from motion_transformer_jax.ops.resize import antialias_downsample


class MotionTransformer(nn.Module):
    """Keypoints and affines of a frame, read off learned motion tokens (paper, section 3).

    Attributes:
        backbone: "stem", "hrnet_w32" or "hrnet_w48".
        scale: the estimator's image as a share of the model's; 1 in the paper.
        stem_features: channels of the backbone's stem; 64 in the papers.
        num_keypoints: K; there are K keypoint tokens and K affine tokens.
        keypoint_std: standard deviation of the keypoint head's kernel at the start of training: how far apart the
            keypoints begin.
        imagenet_normalize: normalise the image by ImageNet's mean and deviation first.

    The other attributes are `TokenTransformer`'s.
    """

    backbone: str
    scale: float
    stem_features: int
    num_keypoints: int
    patch_size: int
    dim: int
    depth: int
    heads: int
    mlp_ratio: int
    stacks: int
    position: str
    image_attends_to_motion: bool
    token_std: float
    keypoint_std: float
    imagenet_normalize: bool
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array) -> Motion:
        """Image [B, H, W, 3] in [0, 1], `scale` × H and W divisible by 4 × patch_size, to its motion."""
        k = self.num_keypoints
        image = antialias_downsample(image, self.scale, rounding="floor")
        if self.imagenet_normalize:
            image = normalize_imagenet(image)
        features = create_backbone(self.backbone, self.stem_features, self.layers, name="backbone")(image)
        tokens = self._transformer()(features)
        spread = nn.initializers.normal(self.keypoint_std)
        keypoints = 2 * nn.sigmoid(self._head("keypoint", tokens[:, :k], 2, spread, nn.initializers.zeros)) - 1
        affine = self._head("affine", tokens[:, k:], 4, nn.initializers.zeros, _identity_bias)
        return Motion(keypoints, affine.reshape(*affine.shape[:-1], 2, 2))

    def _transformer(self) -> TokenTransformer:
        stem = self.backbone == "stem"
        return TokenTransformer(
            num_motion_tokens=2 * self.num_keypoints,
            patch_size=self.patch_size,
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            stacks=self.stacks,
            position=self.position,
            image_attends_to_motion=self.image_attends_to_motion,
            token_std=self.token_std,
            # The official stem model scales by the whole width, and without position encoding it never adds its
            # motion tokens: its checkpoints were trained so.
            attention_scale=(self.dim if stem else self.dim // self.heads) ** -0.5,
            learned_motion_tokens=not (stem and self.position == "none"),
            layers=self.layers,
            name="transformer",
        )

    def _head(self, name: str, tokens: jax.Array, features: int, kernel_init, bias_init) -> jax.Array:
        x = nn.LayerNorm(epsilon=1e-5, name=f"{name}_norm")(tokens)
        return nn.Dense(features, kernel_init=kernel_init, bias_init=bias_init, name=f"{name}_head")(x)


def _identity_bias(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    del key
    return jnp.eye(2, dtype=dtype).reshape(shape)
