"""What the motion transformer's tokens look at: the attention of its layers."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import AnimationModel, create_animation_model
from motion_transformer_jax.ops.color import to_float


@dataclass(frozen=True)
class MotionAttention:
    """Attention of the 2K motion tokens, K of keypoints and then K of affines, in every layer of all stacks in turn.

    Over all tokens the weights of a layer, image, head and motion token sum to 1.

    Attributes:
        to_motion: float32 [layers, B, heads, 2K, 2K], over the motion tokens.
        to_image: float32 [layers, B, heads, 2K, h, w], over the image tokens, on the grid of patches. A model without
            learned motion tokens takes the first image tokens for them: these stand in both.
    """

    to_motion: np.ndarray
    to_image: np.ndarray

    def of_image(self, index: int) -> "MotionAttention":
        """That of one image, without the batch's axis."""
        return MotionAttention(self.to_motion[:, index], self.to_image[:, index])


def has_attention(config: ConfigDict) -> bool:
    """Whether the config's motion estimator is the motion transformer, the only one with attention."""
    return config.model.estimator == "motion_transformer"


def attend(config: ConfigDict, variables: dict, images: np.ndarray) -> MotionAttention:
    """Runs the motion estimator on images and takes out its attention; the estimator computes nothing else than ever.

    Args:
      config: of a motion transformer.
      variables: the model's, as `load_variables` gives them.
      images: uint8 or float32 in [0, 1], [B, H, W, 3].
    """
    layers = tuple((stack, i) for stack in range(config.transformer.stacks) for i in range(config.transformer.depth))
    weights = np.asarray(_attend(create_animation_model(config), layers, variables, images), np.float32)
    motion_tokens = 2 * config.model.num_keypoints
    # The backbone's map has a quarter of the size of what it sees.
    cell_px = round(4 * config.transformer.patch_size / config.transformer.scale)
    grid = (images.shape[1] // cell_px, images.shape[2] // cell_px)
    first_image_token = weights.shape[-1] - grid[0] * grid[1]
    return MotionAttention(
        to_motion=weights[..., :motion_tokens],
        to_image=weights[..., first_image_token:].reshape(*weights.shape[:-1], *grid),
    )


# The model is hashable by its fields: what was compiled serves every call of one config.
@partial(jax.jit, static_argnums=(0, 1))
def _attend(
    model: AnimationModel, layers: tuple[tuple[int, int], ...], variables: dict, images: jax.Array
) -> jax.Array:
    """Attention [layers, B, heads, motion tokens, all tokens] of layers (stack, index)."""
    _, state = model.apply(variables, to_float(images), method="estimate", mutable="intermediates")
    seen = state["intermediates"]["motion_estimator"]["transformer"]
    weights = [seen[f"stack_{stack}_layer_{i}"]["attention"]["attention"][0] for stack, i in layers]
    return jnp.stack([layer[:, :, : 2 * model.motion_estimator.num_keypoints] for layer in weights])
