"""The background's motion between two frames, as one homogeneous matrix (MRAA, section 3.3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.models.blocks import Encoder, Layers

# Entries of the 3×3 matrix, row-major, that each kind predicts; the others stay the identity's.
PREDICTED_ENTRIES = {
    "zero": (),
    "shift": (2, 5),
    "affine": (0, 1, 2, 3, 4, 5),
    "perspective": (0, 1, 2, 3, 4, 5, 6, 7),
}
BACKGROUNDS = ("none", *PREDICTED_ENTRIES)


class BackgroundPredictor(nn.Module):
    """Maps background points of the driving frame to the source frame.

    Attributes:
        kind: "zero" (the identity, no parameters), "shift", "affine" or "perspective".
    """

    kind: str
    base_features: int
    max_features: int
    num_blocks: int
    layers: Layers

    @nn.compact
    def __call__(self, source: jax.Array, driving: jax.Array) -> jax.Array:
        """Two images [B, H, W, 3] in [0, 1] to matrices [B, 3, 3] on homogeneous (x, y, 1)."""
        matrix = jnp.tile(jnp.eye(3, dtype=source.dtype).reshape(1, 9), (source.shape[0], 1))
        entries = PREDICTED_ENTRIES[self.kind]
        if entries:
            encoder = Encoder(self.base_features, self.max_features, self.num_blocks, self.layers, name="encoder")
            features = encoder(jnp.concatenate([source, driving], axis=-1))[-1]
            features = jnp.mean(features.astype(jnp.promote_types(features.dtype, jnp.float32)), axis=(1, 2))
            head = nn.Dense(
                len(entries),
                kernel_init=nn.initializers.zeros,
                bias_init=lambda _, shape, dtype: jnp.asarray(np.eye(3).reshape(9)[list(entries)], dtype),
                name="head",
            )
            matrix = matrix.at[:, entries].set(head(features).astype(matrix.dtype))
        return matrix.reshape(-1, 3, 3)
