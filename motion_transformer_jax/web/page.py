"""The page as a whole: its parts, and what each click sets off."""

from pathlib import Path

import gradio as gr

from motion_transformer_jax.data.examples import Examples
from motion_transformer_jax.web.actions import Actions
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.cleanup import cleaning_period
from motion_transformer_jax.web.layout import TITLE, lay_out
from motion_transformer_jax.web.uploads import UploadLimits
from motion_transformer_jax.web.worker import Worker

STYLE = Path(__file__).with_name("style.css")
_MAX_WAITING = 20
# Gradio's own look, in the fonts of whatever system the page is seen on: nothing is fetched from elsewhere.
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONOSPACED = ("ui-monospace", "Consolas", "monospace")
_BLUE = gr.themes.Color(
    c50="#eef6fb",
    c100="#d6e9f5",
    c200="#aed4ea",
    c300="#7cc4ee",
    c400="#3f9bd0",
    c500="#1a7fb8",
    c600="#0b6496",
    c700="#0b5c8a",
    c800="#0a486b",
    c900="#093a56",
    c950="#06283c",
)
# On a phone it is below the button.
_SHOW_OUTCOME = (
    "() => { document.getElementById('outcome').scrollIntoView({behavior: 'smooth', block: 'nearest'}); return []; }"
)
_AT_ONCE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_AS_UPLOADED = {"preprocess": False, "api_visibility": "private"}


def create_page(
    checkpoints: dict[str, Checkpoint],
    examples: Examples,
    limits: UploadLimits,
    worker: Worker,
    *,
    keep_minutes: float,
) -> gr.Blocks:
    """Builds the page.

    Args:
        checkpoints: By their names, at least one.
        examples: To choose from.
        limits: Of uploads.
        worker: The thread that computes.
        keep_minutes: After which uploads and results are deleted.
    """
    keep_secs = max(1, round(60 * keep_minutes))
    cleaning = (round(cleaning_period(keep_secs)), keep_secs)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=cleaning, fill_width=False) as page:
        layout = lay_out(checkpoints, examples, limits, keep_minutes)
        _connect(Actions(layout, checkpoints, limits, worker))
    return page.queue(max_size=_MAX_WAITING, api_open=False)


def create_theme() -> gr.themes.Base:
    """The page's colours, those of the reports, and fonts."""
    theme = gr.themes.Default(primary_hue=_BLUE, neutral_hue="stone", font=list(_FONTS), font_mono=list(_MONOSPACED))
    return theme.set(
        body_background_fill="#fdfdfb",
        body_background_fill_dark="#15181b",
        # Gradio's own are too pale to be read easily.
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
    )


def _connect(actions: Actions) -> None:
    layout = actions.layout
    for place, check in ((layout.picture, actions.check_picture), (layout.clip, actions.check_clip)):
        place.upload(check, place, [place], show_progress="hidden", concurrency_limit=4, **_AS_UPLOADED)
    settings = layout.settings
    hanging_on_mode = [settings.find_best_frame, settings.multiply]
    settings.checkpoint.change(
        actions.choose_checkpoint, settings.checkpoint, [settings.mode, *hanging_on_mode], **_AT_ONCE
    )
    settings.mode.change(settings.for_mode, settings.mode, hanging_on_mode, **_AT_ONCE)

    buttons = [layout.animate, layout.stop]
    result = [layout.stage, layout.result, layout.moving_picture, layout.download, layout.explanation]
    shown = [*result, layout.sheet, layout.attention_note, *layout.attention]
    started = layout.animate.click(actions.start, None, [*buttons, *result], js=_SHOW_OUTCOME, **_AT_ONCE)
    animation = started.then(
        actions.animate,
        {layout.picture, layout.clip, *settings.components()},
        shown,
        show_progress_on=layout.stage,
        concurrency_limit=1,
        **_AS_UPLOADED,
    )
    for ended in (animation.success, animation.failure):
        ended(actions.end, None, buttons, **_AT_ONCE)
    layout.stop.click(actions.stop, None, [layout.stage, *buttons], cancels=animation, **_AT_ONCE)
