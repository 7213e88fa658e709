"""What a visitor may choose, on the page."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from motion_transformer_jax.inference.options import PLAIN
from motion_transformer_jax.inference.retarget import MULTIPLY_RANGE, Mode
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.choices import FORMATS, Choices

_MODES = {"relative": "Relative", "absolute": "Absolute", "avd": "AVD"}
_MODE_MEANINGS = {
    "relative": "how the pose changes",
    "absolute": "the pose itself, with place and size",
    "avd": "the pose, in the shape of the picture's figure",
}
_CROPS = [("None", "none"), ("Auto", "auto")]
_COLUMN_PX = 150  # two side by side on a phone


@dataclass(frozen=True)
class Settings:
    """The components in the order of the page, one for each of the `Choices`."""

    checkpoint: gr.Dropdown
    mode: gr.Radio
    find_best_frame: gr.Checkbox
    side_by_side: gr.Checkbox
    crop: gr.Radio
    driving_crop: gr.Radio
    paste_back: gr.Checkbox
    smooth: gr.Checkbox
    multiply: gr.Slider
    form: gr.Radio

    def components(self) -> list[gr.components.Component]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]

    def for_checkpoint(self, checkpoint: Checkpoint) -> dict:
        """What to change so that a model's own abilities are offered."""
        mode = checkpoint.animator.mode
        choices = gr.Radio(choices=_mode_choices(checkpoint), value=mode, info=_describe_modes(checkpoint))
        return {self.mode: choices, **self.for_mode(mode)}

    def for_mode(self, mode: Mode) -> dict:
        """What to change so that only what a mode looks at is offered."""
        relative = mode == "relative"
        return {
            self.find_best_frame: gr.Checkbox(visible=relative),
            self.multiply: gr.Slider(interactive=relative),
        }

    def read(self, values: dict[gr.components.Component, Any]) -> Choices:
        """What was chosen, from the components' values; there may be other components among them."""
        return Choices(**{field.name: values[getattr(self, field.name)] for field in fields(self)})


def lay_out_settings(checkpoints: dict[str, Checkpoint]) -> Settings:
    """Puts the settings on the page that is being built, with what few people need folded away."""
    name, first = next(iter(checkpoints.items()))
    mode = first.animator.mode
    with gr.Group():
        checkpoint = gr.Dropdown(
            list(checkpoints), value=name, label="Model", filterable=False, visible=len(checkpoints) > 1
        )
        modes = gr.Radio(_mode_choices(first), value=mode, label="Motion", info=_describe_modes(first))
        with gr.Row():
            best = _box("Best frame", "start from the clip's pose nearest to the picture's", True, mode == "relative")
            row = _box("Side by side", "picture, clip and result in a row")
    with gr.Accordion("More", open=False, elem_id="more"), gr.Group():
        return Settings(checkpoint, modes, best, row, *_lay_out_more(mode))


def _lay_out_more(mode: Mode) -> tuple[gr.components.Component, ...]:
    with gr.Row():
        crop = _crop("Crop of the picture")
        driving_crop = _crop("Crop of the clip")
    with gr.Row():
        paste_back = _box("Paste back", "the result into the whole picture")
        smooth = _box("Smooth", "take the jitter out of the motion")
    low, high = MULTIPLY_RANGE
    multiply = gr.Slider(
        low,
        high,
        value=PLAIN.multiply,
        step=0.05,
        label="Motion strength",
        info="1: as in the clip. For relative motion only.",
        interactive=mode == "relative",
        buttons=["reset"],
        elem_id="multiply",
    )
    form = gr.Radio(FORMATS, value=FORMATS[0], label="Format", info="A gif has no sound.")
    return crop, driving_crop, paste_back, smooth, multiply, form


def _box(label: str, info: str, value: bool = False, visible: bool = True) -> gr.Checkbox:
    return gr.Checkbox(value, label=label, info=info, visible=visible, min_width=_COLUMN_PX)


def _crop(label: str) -> gr.Radio:
    info = "Auto: the face, or what stands out."
    return gr.Radio(_CROPS, value=PLAIN.crop, label=label, info=info, min_width=_COLUMN_PX)


def _mode_choices(checkpoint: Checkpoint) -> list[tuple[str, Mode]]:
    return [(_MODES[mode], mode) for mode in checkpoint.modes]


def _describe_modes(checkpoint: Checkpoint) -> str:
    return " ".join(f"{_MODES[mode]}: {_MODE_MEANINGS[mode]}." for mode in checkpoint.modes)
