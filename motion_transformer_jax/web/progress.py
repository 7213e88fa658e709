"""The panel that shows how far an animation is, with its newest frame, as HTML."""

import base64
import io

import numpy as np
from PIL import Image

from motion_transformer_jax.web.animation import DrawnFrame

_MOST_PX = (1200, 600)  # twice what the panel has: a phone's own pixels are finer

IDLE = """<div class="stage"><div class="stage-empty">The result appears here.</div></div>"""

EMPTY = '<div class="stage"></div>'
_FAILURE = """<div class="stage"><p class="stage-failure" role="alert">{sentence}</p></div>"""
_PANEL = """<div class="stage">
  <div class="stage-frame">{picture}</div>
  <div class="stage-bar {kind}" role="progressbar" aria-label="progress" {value}>
    <div style="width: {percent}%"></div>
  </div>
  <p role="status">{text}</p>
</div>"""
_SPINNER = '<div class="stage-spinner"></div>'


def draw_failure(sentence: str) -> str:
    """The panel when there is no result; the sentence is HTML."""
    return _FAILURE.format(sentence=sentence)


def draw_preparation(seconds: float) -> str:
    """The panel before the first frame: files are read, the model is compiled, the best frame is looked for."""
    text = f"Preparing, {seconds:.0f} s. The first animation after the start takes longest."
    return _PANEL.format(picture=_SPINNER, kind="unknown", value="", percent=100, text=text)


def draw_progress(frame: DrawnFrame, rate: float | None) -> str:
    """The panel with a frame.

    Args:
        frame: The newest one.
        rate: Frames per second, or None as long as that cannot be told.
    """
    done = frame.index + 1
    speed = f" · {rate:.3g} frames/s" if rate else ""
    picture = f'<img src="{_as_address(frame.image)}" alt="frame {done} of the result">'
    if frame.total is None:
        text = f"Frame {done}{speed}"
        return _PANEL.format(picture=picture, kind="unknown", value="", percent=100, text=text)
    total = max(frame.total, done)
    left = f" · {(total - done) / rate:.0f} s left" if rate else ""
    percent = round(100 * done / total)
    value = f'aria-valuenow="{percent}" aria-valuemin="0" aria-valuemax="100"'
    text = f"Frame {done} of {total}{speed}{left}"
    return _PANEL.format(picture=picture, kind="known", value=value, percent=percent, text=text)


def _as_address(image: np.ndarray) -> str:
    """A data address: no file is written that would have to be deleted. Large frames are made smaller."""
    file, picture = io.BytesIO(), Image.fromarray(image)
    picture.thumbnail(_MOST_PX)
    picture.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
