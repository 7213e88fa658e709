"""What is on the page, and where."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from motion_transformer_jax.data.examples import Examples
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.progress import IDLE
from motion_transformer_jax.web.settings import Settings, lay_out_settings
from motion_transformer_jax.web.uploads import UploadLimits

TITLE = "Move a picture"
_LEAD = "A picture and a clip go in; the picture, moving like the clip, comes out."
_NUM_ATTENTION_FIGURES = 3  # of keypoint tokens, of affine tokens, of motions to motions
_INPUT_PX, _RESULT_PX = 260, 420


@dataclass(frozen=True)
class Layout:
    """The components that events read and write."""

    picture: gr.Image
    clip: gr.Video
    settings: Settings
    animate: gr.Button
    stop: gr.Button
    stage: gr.HTML
    result: gr.Video
    moving_picture: gr.Image  # the result where it is a gif
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
            settings = lay_out_settings(checkpoints)
            with gr.Row():
                animate = gr.Button("Animate", variant="primary", scale=3, min_width=160)
                stop = gr.Button("Stop", visible=False, scale=1, min_width=100)
            gr.HTML(f'<p class="fine">{_describe_limits(limits, keep_minutes)}</p>')
        with gr.Column(scale=10, min_width=320, elem_id="outcome"):
            outcome = _lay_out_result()
            gr.HTML(f'<p class="fine">{_describe_results(checkpoints)}</p>')
    return Layout(picture, clip, settings, animate, stop, *outcome, *_lay_out_explanation())


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


def _lay_out_result() -> tuple[gr.HTML, gr.Video, gr.Image, gr.DownloadButton]:
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
    moving_picture = gr.Image(
        label="Result",
        type="filepath",
        interactive=False,
        visible=False,
        height=_RESULT_PX,
        buttons=[],
        elem_id="moving-picture",
    )
    download = gr.DownloadButton("Download", interactive=False, elem_id="download")
    return stage, result, moving_picture, download


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


def _describe_results(checkpoints: dict[str, Checkpoint]) -> str:
    bundled = [html.escape(name) for name, checkpoint in checkpoints.items() if checkpoint.is_bundled]
    text = "Results are synthetic, and their metadata says so."
    for name in bundled:
        text += f" The model “{name}” knows drawn puppets alone, no photographs; docs/model_card.md tells more."
    return text
