"""What happens at a click."""

import html
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.web.animation import Wish, fulfil
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.explanation import describe_attention, explain
from motion_transformer_jax.web.layout import Layout
from motion_transformer_jax.web.progress import EMPTY, IDLE, draw_failure, draw_preparation, draw_progress
from motion_transformer_jax.web.uploads import UploadLimits
from motion_transformer_jax.web.worker import Job, Stopped, Worker

logger = logging.getLogger(__name__)

_RESULT_STEM = "animation"
_ERROR_SECS = 30
_LEAST_SECS = 0.5  # that tell a speed

# What Gradio sends of a file when it is told to leave it as it is.
_File = dict | None


@dataclass(frozen=True)
class Actions:
    """The functions behind the page's events; those that return a dict change the components in it."""

    layout: Layout
    checkpoints: dict[str, Checkpoint]
    limits: UploadLimits
    worker: Worker

    def check_picture(self, file: _File) -> Iterator[dict]:
        """Takes a picture away again that cannot be used, and says why."""
        yield from self._check(file, self.limits.check_picture, self.layout.picture)

    def check_clip(self, file: _File) -> Iterator[dict]:
        """Takes a clip away again that cannot be used, and says why."""
        yield from self._check(file, self.limits.check_clip, self.layout.clip)

    def choose_checkpoint(self, name: str) -> dict:
        """Offers what the chosen model can do."""
        return self.layout.settings.for_checkpoint(self.checkpoints[name])

    def start(self) -> dict:
        """Clears away the last result, and lets the visitor stop."""
        return {
            self.layout.animate: gr.Button(interactive=False),
            self.layout.stop: gr.Button(visible=True),
            self.layout.stage: gr.HTML(EMPTY, visible=True),
            self.layout.result: gr.Video(None, visible=False),
            self.layout.moving_picture: gr.Image(None, visible=False),
            self.layout.download: gr.DownloadButton(value=None, interactive=False),
            self.layout.explanation: gr.Column(visible=False),
        }

    def end(self) -> dict:
        """Lets the visitor start again."""
        return {self.layout.animate: gr.Button(interactive=True), self.layout.stop: gr.Button(visible=False)}

    def stop(self) -> dict:
        """Clears the stage as well."""
        return {self.layout.stage: gr.HTML(IDLE), **self.end()}

    def animate(self, values: dict[gr.components.Component, Any]) -> Iterator[dict]:
        """Animates, showing frame after frame, then the result, then what is behind it.

        Args:
            values: Of picture, clip and all settings.
        """
        picture, clip = values[self.layout.picture], values[self.layout.clip]
        try:
            with _spoken_errors(picture, clip), tempfile.TemporaryDirectory() as folder:
                choices = self.layout.settings.read(values)
                wish = Wish(
                    _path(picture, "picture"),
                    _path(clip, "clip"),
                    self.checkpoints[choices.checkpoint],
                    choices.options(),
                )
                yield from self._carry_out(wish, Path(folder) / f"{_RESULT_STEM}.{choices.form}")
        except gr.Error as error:
            yield {self.layout.stage: draw_failure(error.message)}
            raise

    def _carry_out(self, wish: Wish, out: Path) -> Iterator[dict]:
        job = self.worker.follow(lambda report: fulfil(wish, self.limits, out, report))
        yield from self._show_progress(job)
        moments = job.result()
        yield {
            self.layout.stage: gr.HTML(visible=False),
            **self._show(out),
            self.layout.download: gr.DownloadButton(value=out, interactive=True),
        }
        explanation = self.worker.follow(lambda report: explain(wish, moments)).result()
        yield {
            self.layout.explanation: gr.Column(visible=True),
            self.layout.sheet: gr.Image(explanation.sheet),
            self.layout.attention_note: describe_attention(explanation),
            **dict.fromkeys(self.layout.attention, gr.Image(visible=False)),
            **{
                place: gr.Image(figure, label=caption.capitalize(), visible=True)
                for place, (caption, figure) in zip(self.layout.attention, explanation.attention.items(), strict=False)
            },
        }

    def _show(self, out: Path) -> dict:
        if out.suffix == ".gif":
            return {self.layout.moving_picture: gr.Image(out, visible=True)}
        return {self.layout.result: gr.Video(out, visible=True)}

    def _show_progress(self, job: Job) -> Iterator[dict]:
        start, first = time.monotonic(), None
        for frame in job.reports():
            now = time.monotonic()
            if frame is not None:
                first = first or (frame.index, now)
                seconds = now - first[1]
                rate = (frame.index - first[0]) / seconds if seconds > _LEAST_SECS else None
                yield {self.layout.stage: draw_progress(frame, rate)}
            elif first is None:
                yield {self.layout.stage: draw_preparation(now - start)}

    def _check(self, file: _File, check: Callable[[Path], None], place: gr.components.Component) -> Iterator[dict]:
        try:
            with _spoken_errors(file):
                check(_path(file, place.label.lower()))
        except gr.Error:
            yield {place: None}
            raise
        yield gr.skip()


def _path(file: _File, name: str) -> Path:
    if not file or not file.get("path"):
        raise UserError(f"there is no {name} yet; drop one, or choose one of the examples")
    return Path(file["path"])


@contextmanager
def _spoken_errors(*files: _File) -> Iterator[None]:
    """Turns a visitor's mistake into a sentence on the page, in which files have the names that the visitor knows."""
    try:
        yield
    except UserError as error:
        text, names = str(error), []
        for file in files:
            if file and file.get("path"):
                names.append(file.get("orig_name") or Path(file["path"]).name)
                text = text.replace(file["path"], names[-1])
        raise _error(text if text.startswith(tuple(names)) else text[:1].upper() + text[1:]) from None
    except Stopped:
        raise _error("The server is being stopped") from None
    except (gr.Error, GeneratorExit):
        raise
    except Exception:
        logger.exception("a fault in the app")
        raise _error("Something went wrong that you cannot mend; the server's log tells what it was") from None


def _error(sentence: str) -> gr.Error:
    # Gradio shows it as HTML.
    return gr.Error(html.escape(sentence), duration=_ERROR_SECS, print_exception=False)
