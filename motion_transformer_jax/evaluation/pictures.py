"""Pictures that show why a trained model does what it does."""

import operator

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.evaluation.attention import MotionAttention, attend, has_attention
from motion_transformer_jax.training.step import create_reconstruct
from motion_transformer_jax.viz.attention import draw_attention, draw_attention_heads, draw_motion_attention
from motion_transformer_jax.viz.generation import draw_generations

_CELL_PX = 192


def draw_system_pictures(
    config: ConfigDict, variables: dict, source: np.ndarray, driving: np.ndarray, *, per_head: bool = False
) -> dict[str, np.ndarray]:
    """Pictures of each pair: what the model makes of it and, of a motion transformer, what its tokens look at.

    Args:
      config: the trained model's.
      variables: the model's, as `load_variables` gives them.
      source, driving: uint8 [B, S, S, 3].
      per_head: draw each motion's attention head by head, too: 2K pictures a pair.

    Returns:
      Captions and their pictures, uint8 [H, W, 3], pair after pair.
    """
    generation = jax.device_get(create_reconstruct(config)(variables, source, driving))
    attention = attend(config, variables, driving) if has_attention(config) else None
    pictures = {}
    for i in range(len(source)):
        pair = slice(i, i + 1)
        single = jax.tree.map(operator.itemgetter(pair), generation)
        pictures[f"pair {i + 1}"] = draw_generations(source[pair], driving[pair], single, cell_px=_CELL_PX)
        if attention is not None:
            mask, keypoints = single.dense.mask[0], single.driving_motion.keypoints[0]
            drawn = draw_attention_figures(driving[i], mask, keypoints, attention.of_image(i), per_head=per_head)
            pictures |= {f"pair {i + 1}, {caption}": picture for caption, picture in drawn.items()}
    return pictures


def draw_attention_figures(
    frame: np.ndarray, mask: np.ndarray, keypoints: np.ndarray, attention: MotionAttention, *, per_head: bool = False
) -> dict[str, np.ndarray]:
    """The figures of what a motion transformer's tokens look at in one frame: over the image, and over each other.

    Args:
      frame: uint8 [S, S, 3].
      mask: dense motion's where the result shows the frame's own motion, [h, w, K + 1].
      keypoints: the frame's, [K, 2].
      attention: of the frame alone, as `of_image` gives it.
      per_head: draw each motion's attention head by head, too: 2K figures.

    Returns:
      Captions and their pictures, uint8 [H, W, 3].
    """
    num_motions = len(keypoints)
    kinds = {"keypoint": slice(num_motions), "affine": slice(num_motions, None)}
    pictures = {}
    for kind, tokens in kinds.items():
        weights = attention.to_image[:, :, tokens]
        pictures[f"attention of {kind} tokens"] = draw_attention(frame, mask, weights.mean(1), keypoints=keypoints)
        for k in range(num_motions if per_head else 0):
            pictures[f"attention of {kind} token {k + 1} by head"] = draw_attention_heads(
                frame, mask, weights, k, keypoints=keypoints
            )
    pictures["attention of motions to motions"] = draw_motion_attention(attention.to_motion.mean(1))
    return pictures
