"""What is on the page, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from motion_transformer_jax.data.examples import Examples
from motion_transformer_jax.inference.retarget import Mode
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.progress import IDLE
from motion_transformer_jax.web.uploads import UploadLimits

TITLE = "Move a picture"
_LEAD = "A picture and a clip go in; the picture, moving like the clip, comes out."
_MODES = {"relative": "Relative", "absolute": "Absolute", "avd": "AVD"}
_MODE_MEANINGS = {
    "relative": "how the pose changes",
    "absolute": "the pose itself, with place and size",
    "avd": "the pose, in the shape of the picture's figure",
}
_NUM_ATTENTION_FIGURES = 3  # of keypoint tokens, of affine tokens, of motions to motions
_INPUT_PX, _RESULT_PX = 260, 420


@dataclass(frozen=True)
class Layout:
    """The components that events read and write."""

    picture: gr.Image
    clip: gr.Video
    checkpoint: gr.Dropdown
    mode: gr.Radio
    find_best_frame: gr.Checkbox
    side_by_side: gr.Checkbox
    animate: gr.Button
    stop: gr.Button
    stage: gr.HTML
    result: gr.Video
    download: gr.DownloadButton
    explanation: gr.Column
    sheet: gr.Image
    attention_note: gr.HTML
    attention: list[gr.Image]


def lay_out(
    checkpoints: dict[str, Checkpoint], examples: Examples, limits: UploadLimits, keep_minutes: float
) -> Layout:
    """Puts everything on the page that is being built."""
    gr.HTML(f"<header><h1>{TITLE}</h1><p>{_LEAD}</p></header>")
    with gr.Row():
        with gr.Column(scale=11, min_width=320):
            picture, clip = _lay_out_inputs(examples)
            settings = _lay_out_settings(checkpoints)
            with gr.Row():
                animate = gr.Button("Animate", variant="primary", scale=3, min_width=160)
                stop = gr.Button("Stop", visible=False, scale=1, min_width=100)
            gr.HTML(f'<p class="fine">{_describe_limits(limits, keep_minutes)}</p>')
        with gr.Column(scale=10, min_width=320, elem_id="outcome"):
            stage, result, download = _lay_out_result()
    return Layout(picture, clip, *settings, animate, stop, stage, result, download, *_lay_out_explanation())


def mode_choices(checkpoint: Checkpoint) -> list[tuple[str, Mode]]:
    """Labels and values of the modes that a checkpoint knows."""
    return [(_MODES[mode], mode) for mode in checkpoint.modes]


def describe_modes(checkpoint: Checkpoint) -> str:
    """What the modes mean that a checkpoint knows."""
    return " ".join(f"{_MODES[mode]}: {_MODE_MEANINGS[mode]}." for mode in checkpoint.modes)


def _lay_out_inputs(examples: Examples) -> tuple[gr.Image, gr.Video]:
    with gr.Row(elem_classes="inputs"):
        with gr.Column(min_width=150):
            picture = gr.Image(
                label="Picture",
                type="filepath",
                image_mode=None,
                sources=["upload"],
                height=_INPUT_PX,
                buttons=["fullscreen"],
                elem_id="picture",
            )
            _offer(examples.pictures, picture, "Or one of these")
        with gr.Column(min_width=150):
            clip = gr.Video(label="Clip", sources=["upload"], height=_INPUT_PX, loop=True, elem_id="clip")
            _offer(examples.clips, clip, "Or one of these")
    return picture, clip


def _offer(files: Sequence[Path], component: gr.Image | gr.Video, label: str) -> None:
    if files:
        with gr.Column(elem_classes="examples", elem_id=f"{component.elem_id}-examples"):
            gr.Examples([[str(path)] for path in files], component, label=label, api_visibility="private")


def _lay_out_settings(checkpoints: dict[str, Checkpoint]) -> tuple[gr.Dropdown, gr.Radio, gr.Checkbox, gr.Checkbox]:
    name, first = next(iter(checkpoints.items()))
    default = first.animator.mode
    with gr.Group():
        checkpoint = gr.Dropdown(
            list(checkpoints), value=name, label="Model", filterable=False, visible=len(checkpoints) > 1
        )
        mode = gr.Radio(mode_choices(first), value=default, label="Motion", info=describe_modes(first))
        with gr.Row():
            find_best_frame = gr.Checkbox(
                value=True,
                label="Best frame",
                info="start from the clip's pose nearest to the picture's",
                visible=default == "relative",
                min_width=150,
            )
            side_by_side = gr.Checkbox(label="Side by side", info="picture, clip and result in a row", min_width=150)
    return checkpoint, mode, find_best_frame, side_by_side


def _lay_out_result() -> tuple[gr.HTML, gr.Video, gr.DownloadButton]:
    stage = gr.HTML(IDLE, elem_id="stage")
    result = gr.Video(
        label="Result",
        interactive=False,
        visible=False,
        autoplay=True,
        loop=True,
        height=_RESULT_PX,
        buttons=[],
        elem_id="result",
    )
    download = gr.DownloadButton("Download", interactive=False, elem_id="download")
    return stage, result, download


def _lay_out_explanation() -> tuple[gr.Column, gr.Image, gr.HTML, list[gr.Image]]:
    with gr.Column(visible=False) as explanation:
        gr.HTML("<h2>What the model sees</h2>")
        with gr.Tabs():
            with gr.Tab("Keypoints and masks"):
                gr.HTML('<p class="fine">Moments of the animation, from its beginning down to its end.</p>')
                sheet = _picture("Keypoints and masks")
            with gr.Tab("Attention"):
                attention_note = gr.HTML()
                attention = [_picture(f"Figure {i + 1}") for i in range(_NUM_ATTENTION_FIGURES)]
    return explanation, sheet, attention_note, attention


def _picture(label: str) -> gr.Image:
    buttons = ["fullscreen", "download"]
    return gr.Image(label=label, interactive=False, format="png", buttons=buttons, elem_classes="wide")


def _describe_limits(limits: UploadLimits, keep_minutes: float) -> str:
    return (
        f"Files of at most {limits.max_bytes / 2**20:.3g} MB, clips of at most {limits.max_seconds:g} seconds. "
        f"The server deletes them after {keep_minutes:g} minutes."
    )
