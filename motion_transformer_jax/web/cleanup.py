"""Deletes what Gradio forgets: files of which the upload was broken off."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

_MAX_PERIOD_SECS = 300


def cleaning_period(keep_secs: float) -> float:
    """Seconds between two looks for files that are older than `keep_secs`."""
    return max(1, min(keep_secs, _MAX_PERIOD_SECS))


def delete_broken_uploads(folder: Path, keep_secs: float) -> None:
    """Deletes the files, not the folders, in Gradio's folder that nothing was written to for so long.

    Uploads stand there while they come; one that is whole is moved to a folder of its own, of which Gradio takes care.
    """
    for path in folder.iterdir():
        with suppress(OSError):  # it may just have become whole
            if path.is_file() and time() - path.stat().st_mtime > keep_secs:
                path.unlink()


@contextmanager
def cleaning(folder: Path, keep_secs: float) -> Iterator[None]:
    """Deletes broken uploads now and then, in a thread, as long as the body runs."""
    ended = threading.Event()

    def clean() -> None:
        while not ended.wait(cleaning_period(keep_secs)):
            delete_broken_uploads(folder, keep_secs)

    thread = threading.Thread(target=clean, name="cleaning", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
