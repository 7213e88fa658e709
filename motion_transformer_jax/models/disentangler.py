"""Animation via disentanglement: the driving pose in the source figure's shape (MRAA)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from motion_transformer_jax.models.blocks import CONV_INIT, Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops import affine

HIDDEN_FEATURES = (256, 512, 1024)


class Disentangler(nn.Module):
    """Encodes one figure's shape and another one's pose, and decodes a motion that has both.

    Attributes:
        num_keypoints: K.
        identity_features, pose_features: sizes of the two codes.
        revert_axis_swap: flip the source's affines to the signs of the driving ones first.
    """

    num_keypoints: int
    identity_features: int
    pose_features: int
    revert_axis_swap: bool
    layers: Layers

    @nn.compact
    def __call__(self, source: Motion, driving: Motion) -> Motion:
        """Motions [B, K, 2] of source and driving frame to that of the source figure in the driving pose."""
        source_affine = source.affine
        if self.revert_axis_swap:
            change = affine.compose(source.affine, affine.inverse(driving.affine))
            source_affine = source.affine * jnp.sign(change[..., :1, :1])
        pose_encoder = self._network("pose_encoder", HIDDEN_FEATURES, self.pose_features)
        identity_encoder = self._network("identity_encoder", HIDDEN_FEATURES, self.identity_features)
        decoder = self._network("decoder", HIDDEN_FEATURES[::-1], 6 * self.num_keypoints)
        pose = pose_encoder(_flatten(driving.keypoints, driving.affine))
        identity = identity_encoder(_flatten(source.keypoints, source_affine))
        motion = decoder(jnp.concatenate([pose, identity], axis=-1)).reshape(-1, self.num_keypoints, 6)
        matrix = motion[..., 2:].reshape(-1, self.num_keypoints, 2, 2)
        return Motion(motion[..., :2], matrix, affine.compose(matrix, affine.transpose(matrix)))

    def _network(self, name: str, hidden: tuple[int, ...], features: int) -> "_Perceptron":
        return _Perceptron(hidden, features, self.layers, name=name)


class _Perceptron(nn.Module):
    hidden: tuple[int, ...]
    features: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(self.hidden):
            x = self.layers.norm(relu=True, name=f"norm_{i}")(self._dense(width, i)(x))
        return self._dense(self.features, len(self.hidden))(x)

    def _dense(self, features: int, index: int) -> nn.Dense:
        return nn.Dense(features, kernel_init=CONV_INIT, name=f"dense_{index}")


def _flatten(keypoints: jax.Array, matrix: jax.Array) -> jax.Array:
    """A row of numbers for each figure, [B, 6 K]: keypoint by keypoint, its place before its affine."""
    joined = jnp.concatenate([keypoints, matrix.reshape(*matrix.shape[:2], 4)], axis=-1)
    return joined.reshape(joined.shape[0], -1)
