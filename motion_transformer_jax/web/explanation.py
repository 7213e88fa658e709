"""Why a result looks as it does: keypoints and masks over time, and what a motion transformer's tokens look at."""

from dataclasses import dataclass

import numpy as np

from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.evaluation.attention import attend, has_attention
from motion_transformer_jax.evaluation.pictures import draw_attention_figures
from motion_transformer_jax.inference.animated_frame import AnimatedFrame, SourceState
from motion_transformer_jax.inference.animated_video import Summary
from motion_transformer_jax.inference.animation_sheet import draw_animation_sheet
from motion_transformer_jax.web.animation import Wish
from motion_transformer_jax.web.checkpoints import Checkpoint

_SHEET_FRAMES = 6
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


def explain(wish: Wish, summary: Summary) -> Explanation:
    """Draws the pictures of a wish that was fulfilled."""
    animator = wish.checkpoint.animator
    size = (animator.image_size, animator.image_size)
    initial, *driving = _read_some(wish, summary, size)
    picture = read_image(wish.picture, size=size)
    source = animator.encode_source(picture)
    # Relative motion is measured against the first frame that the engine is given.
    frames = list(animator.animate_with_details(source, [initial, *driving], mode=wish.mode))[1:]
    sheet = draw_animation_sheet(picture, frames, cell_px=_CELL_PX, downwards=True)
    middle = driving[len(driving) // 2]
    shows_attention = has_attention(wish.checkpoint.config)
    return Explanation(sheet, _draw_attention(wish.checkpoint, source, middle) if shows_attention else {})


def describe_attention(explanation: Explanation) -> str:
    """What the figures of attention show, or why there are none; HTML."""
    if explanation.attention:
        text = "What the transformer's motion tokens look at in a frame from the middle of the clip, layer by layer."
    else:
        text = "This model is no transformer: it has no attention to show."
    return f'<p class="fine">{text}</p>'


def _read_some(wish: Wish, summary: Summary, size: tuple[int, int]) -> list[np.ndarray]:
    """The frame that motion is measured against, and some from the clip's beginning to its end."""
    count = min(_SHEET_FRAMES, summary.frames)
    shown = np.linspace(0, summary.frames - 1, count).round().astype(int).tolist()
    numbers = [summary.best_frame or 0, *shown]
    stream = read_frames(wish.clip, size=size, warn=lambda complaint: None)  # it was said when the clip was animated
    frames = {i: frame for i, frame in enumerate(stream) if i in numbers}
    return [frames[i] for i in numbers]


def _draw_attention(checkpoint: Checkpoint, source: SourceState, driving: np.ndarray) -> dict[str, np.ndarray]:
    # In absolute mode the masks lie where the driving frame has its parts.
    frame: AnimatedFrame = next(checkpoint.animator.animate_with_details(source, [driving], mode="absolute"))
    attention = attend(checkpoint.config, checkpoint.variables, driving[None]).of_image(0)
    return draw_attention_figures(driving, frame.mask, frame.driving_motion.keypoints[0], attention)
