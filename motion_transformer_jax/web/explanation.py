"""Why a result looks as it does: keypoints and masks over time, and what a motion transformer's tokens look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.evaluation.attention import attend, has_attention
from motion_transformer_jax.evaluation.pictures import draw_attention_figures
from motion_transformer_jax.inference.animated_frame import AnimatedFrame, SourceState
from motion_transformer_jax.inference.animation_sheet import draw_animation_sheet
from motion_transformer_jax.inference.source import Source
from motion_transformer_jax.web.animation import Wish
from motion_transformer_jax.web.checkpoints import Checkpoint

_CELL_PX = 192


@dataclass(frozen=True)
class Explanation:
    """Pictures, uint8 [H, W, 3].

    Attributes:
        sheet: Frames over time with their keypoints and masks.
        attention: Captions and figures of one driving frame; none where the model has no attention.
    """

    sheet: np.ndarray
    attention: dict[str, np.ndarray]


def explain(wish: Wish, moments: Sequence[AnimatedFrame]) -> Explanation:
    """Draws the pictures of a wish that was fulfilled, from what `fulfil` returned."""
    animator = wish.checkpoint.animator
    size = (animator.image_size, animator.image_size)
    picture = resize_image(Source.open(wish.picture, wish.options).image, size)
    sheet = draw_animation_sheet(picture, moments, cell_px=_CELL_PX, downwards=True)
    if not has_attention(wish.checkpoint.config):
        return Explanation(sheet, {})
    middle = resize_image(moments[len(moments) // 2].driving, size)
    return Explanation(sheet, _draw_attention(wish.checkpoint, animator.encode_source(picture), middle))


def describe_attention(explanation: Explanation) -> str:
    """What the figures of attention show, or why there are none; HTML."""
    if explanation.attention:
        text = "What the transformer's motion tokens look at in a frame from the middle of the clip, layer by layer."
    else:
        text = "This model is no transformer: it has no attention to show."
    return f'<p class="fine">{text}</p>'


def _draw_attention(checkpoint: Checkpoint, source: SourceState, driving: np.ndarray) -> dict[str, np.ndarray]:
    # In absolute mode the masks lie where the driving frame has its parts.
    frame: AnimatedFrame = next(checkpoint.animator.animate_with_details(source, [driving], mode="absolute"))
    attention = attend(checkpoint.config, checkpoint.variables, driving[None]).of_image(0)
    return draw_attention_figures(driving, frame.mask, frame.driving_motion.keypoints[0], attention)
