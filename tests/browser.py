"""Headless Chromium for the tests of the pages that we write and serve; they skip where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Videos play without a click as on any page that mutes them; root (a container's user) has no sandbox.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@dataclass(frozen=True)
class WatchedPage:
    """A page and what went wrong on it.

    Attributes:
        page: Playwright's.
        problems: errors on the console, uncaught exceptions, and requests for anything but the page's own file or
            server.
    """

    page: object
    problems: list[str] = field(default_factory=list)

    def overflow(self) -> int:
        """Pixels that the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def play_videos(self) -> list[dict]:
        """Scrolls to each video and waits until it plays: its readyState, width, and the seconds it moved on by."""
        return self.page.evaluate(_PLAY)


_PLAY = """async () => {
  const found = [];
  for (const video of document.querySelectorAll('video')) {
    video.scrollIntoView();
    video.play();
    const before = video.currentTime, deadline = Date.now() + 10000;
    while ((video.readyState < 2 || video.currentTime === before) && Date.now() < deadline)
      await new Promise(done => setTimeout(done, 20));
    found.push({ready: video.readyState, width: video.videoWidth, moved: Math.abs(video.currentTime - before)});
  }
  return found;
}"""


class Browser:
    """Opens pages from the disk, or from a server on this machine."""

    def __init__(self, browser):
        self._browser = browser

    @contextmanager
    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, color_scheme: str = "light"
    ) -> Iterator[WatchedPage]:
        """Opens a file, or the root of a server by its address with a slash at the end, in a window of its own."""
        is_served = isinstance(page, str)
        address = page if is_served else page.resolve().as_uri()
        with self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, accept_downloads=True
        ) as context:
            watched = WatchedPage(context.new_page())
            problems = watched.problems
            watched.page.on("console", lambda message: message.type == "error" and problems.append(message.text))
            watched.page.on("pageerror", lambda error: problems.append(str(error)))
            watched.page.on(
                "request",
                lambda request: (
                    request.url.split("#")[0] == address
                    or (is_served and request.url.startswith(address))
                    or request.url.startswith(("data:", "blob:"))
                    or problems.append(f"request of {request.url}")
                ),
            )
            watched.page.goto(address)
            yield watched


@contextmanager
def launched() -> Iterator[Browser]:
    """Starts the system's Chromium; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield Browser(browser)
        finally:
            browser.close()
