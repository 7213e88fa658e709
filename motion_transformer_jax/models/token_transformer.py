"""The token transformer: motion tokens and image tokens in one transformer (paper, section 3).

A motion token attends to all motion tokens and to all image tokens in one softmax, so that motion-to-motion self
attention and motion-to-image cross attention are one operation.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.ops.attention import attention
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.gelu import gelu

POSITIONS = ("none", "sine", "sine_every_layer", "learnable")
TOKEN_INIT = nn.initializers.normal(0.02)
# Added to the logits of image tokens that look at motion tokens, where they must not; official checkpoints store it.
HIDDEN_LOGIT = -1000.0


def sine_position_table(rows: int, columns: int, dim: int) -> np.ndarray:
    """Sine position encoding of a grid of tokens, row-major: float32 [rows * columns, dim].

    The first half of the features encodes the row, the second the column. Positions count from 1 and are scaled to
    2π at the last one. Angles are rounded to float32, as in the official code whose checkpoints hold this table.
    """
    half = dim // 2
    exponent = 2 * (np.arange(half, dtype=np.float32) // 2) / np.float32(half)
    wavelength = (10000.0 ** exponent.astype(np.float64)).astype(np.float32)

    def encode(count: int) -> np.ndarray:
        position = np.arange(1, count + 1, dtype=np.float32)
        position = position / (position[-1] + np.float32(1e-6)) * np.float32(2 * math.pi)
        angle = (position[:, None] / wavelength).astype(np.float64)
        return np.where(np.arange(half) % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)

    row = np.broadcast_to(encode(rows)[:, None], (rows, columns, half))
    column = np.broadcast_to(encode(columns)[None], (rows, columns, half))
    return np.concatenate([row, column], axis=-1).reshape(rows * columns, dim)


def image_patches(features: jax.Array, patch_size: int) -> jax.Array:
    """[B, H, W, C] to [B, N, patch_size² × C]: patches row-major, channel fastest within a patch."""
    b, h, w, c = features.shape
    rows, columns = h // patch_size, w // patch_size
    x = features.reshape(b, rows, patch_size, columns, patch_size, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, rows * columns, patch_size * patch_size * c)


class Attention(nn.Module):
    """Multi-head self attention; queries, keys and values from one bias-free projection.

    Sows its weights, [B, heads, T, T], as the intermediate "attention".

    Attributes:
        scale: factor of the logits.
    """

    heads: int
    scale: float
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array | None) -> jax.Array:
        """[B, T, D] and logits' bias [T, T] to [B, T, D]."""
        b, t, d = x.shape
        dtype = self.layers.dtype
        qkv = nn.Dense(3 * d, use_bias=False, dtype=dtype, kernel_init=TOKEN_INIT, name="qkv")(x)
        q, k, v = (y.reshape(b, t, self.heads, d // self.heads) for y in jnp.split(qkv, 3, axis=-1))
        out, weights = attention(q, k, v, bias, self.scale)
        self.sow("intermediates", "attention", weights)
        return nn.Dense(d, dtype=dtype, kernel_init=TOKEN_INIT, name="out")(out.reshape(b, t, d))


class TransformerLayer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    heads: int
    mlp_dim: int
    attention_scale: float
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array, attention_bias: jax.Array | None) -> jax.Array:
        """[B, T, D] to the same shape."""
        dtype = self.layers.dtype
        attend = Attention(self.heads, self.attention_scale, self.layers, name="attention")
        x = materialize(x + attend(nn.LayerNorm(epsilon=1e-5, name="attention_norm")(x), attention_bias))
        y = nn.LayerNorm(epsilon=1e-5, name="mlp_norm")(x)
        y = nn.Dense(self.mlp_dim, dtype=dtype, kernel_init=TOKEN_INIT, name="mlp_in")(y)
        y = nn.Dense(x.shape[-1], dtype=dtype, kernel_init=TOKEN_INIT, name="mlp_out")(gelu(y))
        return materialize(x + y)


class TokenTransformer(nn.Module):
    """Embeds image patches, joins the motion tokens, and runs one stack of layers or several in series.

    Attributes:
        num_motion_tokens: learned tokens, placed before the image tokens.
        patch_size: cells of the feature map along a side of an image token.
        depth: layers in a stack.
        stacks: transformers in series; the motion tokens after each are concatenated.
        position: "none", "sine" (once, image tokens only), "sine_every_layer" (again before every layer but each
            stack's first, into the residual stream) or "learnable" (one table for all tokens, once).
        image_attends_to_motion: False hides motion tokens from image tokens in all layers.
        token_std: standard deviation of the motion tokens at the start of training.
        learned_motion_tokens: False takes the first image tokens for motion tokens.
    """

    num_motion_tokens: int
    patch_size: int
    dim: int
    depth: int
    heads: int
    mlp_ratio: int
    stacks: int
    position: str
    image_attends_to_motion: bool
    token_std: float
    attention_scale: float
    learned_motion_tokens: bool
    layers: Layers

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Feature map [B, h, w, C] to motion tokens [B, num_motion_tokens, stacks × dim]."""
        grid = (features.shape[1] // self.patch_size, features.shape[2] // self.patch_size)
        patches = image_patches(features, self.patch_size)
        embed = nn.Dense(self.dim, dtype=self.layers.dtype, kernel_init=TOKEN_INIT, name="patch_embedding")
        x, every_layer = self._add_position(self._join(embed(patches)), grid)
        bias = self._attention_bias(x.shape[1])
        readouts = []
        for stack in range(self.stacks):
            for i in range(self.depth):
                if i > 0 and every_layer is not None:
                    x = x + every_layer
                layer = TransformerLayer(
                    self.heads,
                    self.dim * self.mlp_ratio,
                    self.attention_scale,
                    self.layers,
                    name=f"stack_{stack}_layer_{i}",
                )
                x = layer(x, bias)
            readouts.append(x[:, : self.num_motion_tokens])
        return jnp.concatenate(readouts, axis=-1)

    def _join(self, image_tokens: jax.Array) -> jax.Array:
        """Motion tokens, then image tokens; the residual stream is at least float32."""
        image_tokens = image_tokens.astype(jnp.promote_types(image_tokens.dtype, jnp.float32))
        if not self.learned_motion_tokens:
            return image_tokens
        tokens = self.param("motion_tokens", nn.initializers.normal(self.token_std), (self.num_motion_tokens, self.dim))
        tokens = jnp.broadcast_to(tokens, (image_tokens.shape[0], *tokens.shape))
        return jnp.concatenate([tokens.astype(image_tokens.dtype), image_tokens], axis=1)

    def _add_position(self, x: jax.Array, grid: tuple[int, int]) -> tuple[jax.Array, jax.Array | None]:
        """Tokens with their position encoding, and what is added again before later layers."""
        if self.position == "none":
            return x, None
        if self.position == "learnable":
            return x + self.param("position", TOKEN_INIT, x.shape[1:])[None], None
        table = sine_position_table(*grid, self.dim)
        table = np.concatenate([np.zeros((self.num_motion_tokens, self.dim), np.float32), table])[None]
        return x + table, (jnp.asarray(table, x.dtype) if self.position == "sine_every_layer" else None)

    def _attention_bias(self, num_tokens: int) -> jax.Array | None:
        if self.image_attends_to_motion:
            return None
        is_motion = jnp.arange(num_tokens) < self.num_motion_tokens
        return jnp.where(~is_motion[:, None] & is_motion[None, :], HIDDEN_LOGIT, 0.0)
