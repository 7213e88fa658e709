"""The page in a real browser, served by the command in a process of its own."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from browser import launched
from PIL import Image
from tiny_model import (
    random_frames,
    save_checkpoint,
    tiny_avd_config,
    tiny_avd_variables,
    tiny_config,
    tiny_variables,
)

from motion_transformer_jax import animate
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs the extra 'app'"),
]

MAX_BYTES = 3_000_000
# The command, and a line on stderr for every address outside of this machine that it asks for. Clips of more
# than 200 frames are animated slowly, so that none is over before a test stops it.
PROGRAM = """
import sys
import time

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[0] if event == "socket.getaddrinfo" else arguments[1][0]
        if host not in ("127.0.0.1", "localhost", None):
            print("CALLS", event, host, file=sys.stderr)

sys.addaudithook(watch)
from motion_transformer_jax import app, cli
from motion_transformer_jax.inference.animator import Animator

def animate_slowly(*arguments, **options):
    for index, frame in enumerate(animate(*arguments, **options)):
        if index > 200:
            time.sleep(0.1)
        yield frame

animate, Animator.animate_tracked = Animator.animate_tracked, animate_slowly
sys.exit(cli.run_command(app.main))
"""
# Keeps every text that the stage shows from now on.
RECORD = """() => {
  window.shown = new Set();
  const look = () => window.shown.add(document.getElementById('stage')?.innerText.trim());
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

IN_SIGHT = """() => {
  const {top, bottom} = document.getElementById('outcome').getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}"""


@dataclass
class Server:
    process: subprocess.Popen
    address: str
    temporary: Path
    log: Path


@contextmanager
def serving(folder, *options):
    """Runs `motrans app` until the body ends; its temporary files go to a folder of their own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", PROGRAM, *options, "--port", str(port)]
    with (
        open(folder / "log", "w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line == f"open http://127.0.0.1:{port}/; stop with Ctrl-C\n", (folder / "log").read_text()
            yield Server(process, f"http://127.0.0.1:{port}/", folder / "tmp", folder / "log")
        finally:
            process.kill()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Checkpoints, inputs good and bad, and what the command `animate` makes of the good ones."""
    folder = tmp_path_factory.mktemp("files")
    save_checkpoint(folder / "plain", tiny_config(), tiny_variables())
    save_checkpoint(folder / "avd", tiny_avd_config(), tiny_avd_variables())
    frames = random_frames(200, 48, 64)
    Image.fromarray(random_frames(1, 60, 44, seed=9)[0]).save(folder / "me.png")
    write_video(folder / "dance.mp4", frames, fps=40)
    write_video(folder / "steps.mp4", frames[:8], fps=12.5)
    (folder / "examples").mkdir()
    Image.fromarray(frames[3]).save(folder / "examples" / "figure.png")
    write_video(folder / "examples" / "brief.mp4", frames[:4], fps=4)
    write_video(folder / "examples" / "endless.mp4", (frame for _ in range(10) for frame in frames), fps=200)
    write_video(folder / "hour.mp4", random_frames(9, 16, 16), fps=0.5)
    Image.new("L", (500, 400)).save(folder / "huge.png")
    (folder / "text <b>.png").write_text("no image")
    (folder / "text.mp4").write_text("no video")
    (folder / "heavy.mp4").write_bytes(bytes(MAX_BYTES + 1))
    make(folder, "plain", "me.png", "dance.mp4", "relative.mp4", "--best-frame", "auto")
    more = ["--crop", "auto", "--driving-crop", "auto", "--paste-back", "--smooth"]
    make(folder, "plain", "me.png", "steps.mp4", "more.webm", *more, "--best-frame", "auto", "--multiply", "1.5")
    make(folder, "plain", "me.png", "steps.mp4", "more.gif", *more, "--mode", "absolute")
    make(folder, "avd", "me.png", "steps.mp4", "avd.mp4", "--mode", "avd", "--view", "side-by-side")
    return folder


def make(folder, checkpoint, source, driving, out, *options):
    paths = {"checkpoint": checkpoint, "source": source, "driving": driving, "out": out}
    argv = [part for name, path in paths.items() for part in (f"--{name}", str(folder / path))]
    assert run_command(animate.main, [*argv, *options]) == 0


@pytest.fixture(scope="module")
def server(files, tmp_path_factory):
    checkpoints = ["--checkpoint", files / "plain", files / "avd"]
    limits = ["--max-bytes", MAX_BYTES, "--max-pixels", 150_000, "--max-seconds", 12]
    with serving(tmp_path_factory.mktemp("server"), *map(str, checkpoints + limits)) as server:
        yield server
        assert "CALLS" not in server.log.read_text() and "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def chromium(server):
    """Later than all that uses Orbax in this process, whose event loop would be in Playwright's way."""
    with launched() as browser:
        yield browser


@contextmanager
def visit(chromium, server, **window):
    with chromium.open(server.address, **window) as opened:
        opened.page.set_default_timeout(120_000)
        opened.page.wait_for_selector("#clip-examples button")
        opened.page.get_by_role("radio").first.wait_for()
        yield opened
        # While a small file is uploaded Gradio may ask for its progress too late.
        problems = [text for text in opened.problems if "404" not in text and text != "Response"]
        assert problems == []


def upload(page, name, path):
    page.set_input_files(f"#{name} input[type=file]", str(path))
    page.wait_for_selector(f"#{name} {'img' if name == 'picture' else 'video'}")


def choose(page, name, index):
    """Takes an example."""
    page.locator(f"#{name}-examples button").nth(index).click()
    page.wait_for_selector(f"#{name} {'img' if name == 'picture' else 'video'}")


def click(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def wait_for_result(page):
    page.wait_for_selector("#result video")
    page.wait_for_selector(".wide img")
    page.wait_for_function("document.querySelector('.wide img').naturalWidth > 0")


def download(page, path):
    with page.expect_download() as started:
        page.locator("#download").click()
    started.value.save_as(path)
    assert started.value.suggested_filename == path.name
    return path.read_bytes()


def watch_result(page):
    """Waits until the result plays; how wide it is, and how long in seconds."""
    video = page.locator("#result video")
    page.wait_for_function("v => v.readyState >= 2 && v.currentTime > 0", arg=video.element_handle())
    return video.evaluate("v => [v.videoWidth, v.duration]")


def test_a_visitor_animates_a_picture_on_a_phone(files, server, chromium, tmp_path):
    with visit(chromium, server, width=390, height=844) as opened:
        page = opened.page
        assert opened.overflow() == 0
        upload(page, "picture", files / "me.png")
        upload(page, "clip", files / "dance.mp4")
        page.evaluate(RECORD)
        click(page, "Animate")
        page.wait_for_function(IN_SIGHT)
        wait_for_result(page)
        progress = {text for text in page.evaluate("[...window.shown]") if text and text.startswith("Frame ")}
        assert progress and all(" of 200" in text for text in progress)
        assert watch_result(page) == [32, pytest.approx(5, abs=0.1)]
        assert download(page, tmp_path / "animation.mp4") == (files / "relative.mp4").read_bytes()
        page.get_by_role("tab", name="Attention").click()
        page.get_by_text("Attention of motions to motions").wait_for()
        assert page.locator(".wide:visible img").count() == 3
        assert opened.overflow() == 0
        assert page.get_by_role("button", name="Animate", exact=True).is_enabled()
        assert not page.get_by_role("button", name="Stop", exact=True).is_visible()


def test_another_model_and_its_mode(files, server, chromium, tmp_path):
    with visit(chromium, server) as opened:
        page = opened.page
        assert opened.overflow() == 0
        assert page.get_by_role("radio").count() == 2
        upload(page, "picture", files / "me.png")
        upload(page, "clip", files / "steps.mp4")
        page.get_by_label("Model").click()
        page.get_by_role("option", name="avd").click()
        page.get_by_role("radio", name="AVD").wait_for()
        assert page.get_by_role("radio", name="AVD").is_checked()  # the model's own mode
        page.get_by_label("Best frame").wait_for(state="hidden")
        page.get_by_label("Side by side").check()
        click(page, "Animate")
        wait_for_result(page)
        assert watch_result(page) == [768, pytest.approx(0.64, abs=0.05)]
        assert download(page, tmp_path / "animation.mp4") == (files / "avd.mp4").read_bytes()
        page.get_by_role("tab", name="Attention").click()  # what the model sees comes after the result
        page.get_by_text("This model is no transformer").wait_for()


def test_more_on_a_phone_is_what_the_command_has(files, server, chromium, tmp_path):
    with visit(chromium, server, width=390, height=844) as opened:
        page = opened.page
        upload(page, "picture", files / "me.png")
        upload(page, "clip", files / "steps.mp4")
        assert not page.get_by_label("Paste back").is_visible()  # closed at first
        page.locator("#more > button").first.click()
        for name in ("Paste back", "Smooth"):
            page.get_by_label(name).check()
        for crop in page.get_by_role("radio", name="Auto").all():
            crop.check()
        page.locator("#multiply input[type=number]").fill("1.5")
        page.get_by_role("radio", name="webm").check()
        assert opened.overflow() == 0
        click(page, "Animate")
        wait_for_result(page)
        assert watch_result(page) == [44, pytest.approx(0.64, abs=0.05)]
        download(page, tmp_path / "animation.webm")
        made = list(read_frames(files / "more.webm"))  # the file itself has a random number in it
        np.testing.assert_array_equal(list(read_frames(tmp_path / "animation.webm")), made)

        page.get_by_role("radio", name="Absolute").check()
        page.wait_for_selector("#multiply input[type=number]:disabled")
        page.get_by_role("radio", name="gif").check()
        click(page, "Animate")
        page.wait_for_selector("#moving-picture img")
        page.wait_for_function("document.querySelector('#moving-picture img').naturalWidth === 44")
        assert not page.locator("#result video").is_visible()
        assert download(page, tmp_path / "animation.gif") == (files / "more.gif").read_bytes()
        assert opened.overflow() == 0


@pytest.mark.parametrize(
    ("place", "name", "sentence"),
    [
        ("picture", "text <b>.png", "text <b>.png is not an image; expected a png, jpg, bmp, webp, tif, ppm"),
        ("picture", "huge.png", "huge.png has 500x400 pixels, 0.2 million; at most 0.15 million are taken"),
        ("clip", "text.mp4", "Cannot read text.mp4 as a video"),
        ("clip", "hour.mp4", "hour.mp4 lasts longer than the 12 seconds that are taken; cut it"),
        ("clip", "heavy.mp4", "exceed the maximum allowed size"),
    ],
)
def test_bad_uploads_are_told_in_a_sentence(files, server, chromium, place, name, sentence):
    with visit(chromium, server) as opened:
        page = opened.page
        page.set_input_files(f"#{place} input[type=file]", str(files / name))
        page.get_by_text(sentence).wait_for()
        assert "Traceback" not in page.content() and str(server.temporary) not in page.inner_text("body")
        page.locator(f"#{place} input[type=file]").wait_for(state="attached")  # it is taken away again


def test_the_server_refuses_what_is_too_large_by_itself(server):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n' + bytes(MAX_BYTES + 1)
    request = urllib.request.Request(
        f"{server.address}gradio_api/upload",
        body + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value:
        assert refused.value.code == 413


def test_what_is_to_be_known_of_results(server, chromium):
    with visit(chromium, server) as opened:
        opened.page.get_by_text("Results are synthetic, and their metadata says so.", exact=True).wait_for()


def test_nothing_chosen(server, chromium):
    with visit(chromium, server) as opened:
        click(opened.page, "Animate")
        opened.page.locator("#stage").get_by_text("There is no picture yet; drop one").wait_for()
        opened.page.get_by_role("button", name="Stop", exact=True).wait_for(state="hidden")
        assert opened.page.get_by_role("button", name="Animate", exact=True).is_enabled()


def test_others_wait_see_their_place_and_come_next(files, server, chromium):
    with visit(chromium, server) as first, visit(chromium, server) as second, visit(chromium, server) as third:
        for visitor in (first, second, third):
            choose(visitor.page, "picture", 2)
            upload(visitor.page, "clip", files / "examples" / "endless.mp4")
        click(first.page, "Animate")
        first.page.wait_for_selector("#stage img")
        click(second.page, "Animate")
        second.page.get_by_text("queue: 1/1").wait_for()
        click(third.page, "Animate")
        third.page.get_by_text("queue: 2/2").wait_for()
        click(first.page, "Stop")
        first.page.get_by_text("The result appears here.").wait_for()
        second.page.wait_for_selector("#stage img")
        second.page.close()  # who leaves makes room, too
        third.page.wait_for_selector("#stage img")
        click(third.page, "Stop")
        third.page.get_by_text("The result appears here.").wait_for()


def test_what_was_uploaded_and_made_goes_and_so_does_a_stopped_server(files, chromium, tmp_path):
    options = ["--checkpoint", files / "plain", "--examples", files / "examples", "--keep-minutes", 0.2]
    with serving(tmp_path, *map(str, options)) as server:

        def kept():
            return sorted(path.name for path in server.temporary.glob("*/cache/*/*"))

        with visit(chromium, server) as opened:
            page = opened.page
            examples = kept()
            assert examples == ["brief.mp4", "endless.mp4", "figure.png"]
            upload(page, "picture", files / "me.png")
            assert "me.png" in kept()
            choose(page, "picture", 0)
            choose(page, "clip", 0)
            click(page, "Animate")
            wait_for_result(page)
            assert "animation.mp4" in kept()
            assert "Traceback" not in server.log.read_text()
            break_off_upload(server)  # of which Gradio writes a traceback
            wait_until(lambda: kept() == examples and not broken_uploads(server))
            choose(page, "clip", 1)
            click(page, "Animate")
            page.wait_for_selector("#stage img")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 143
            opened.problems.clear()  # that the server is gone
        assert list(server.temporary.iterdir()) == []
        log = server.log.read_text()
        assert "CALLS" not in log and log.count("Traceback") == log.count("requests.ClientDisconnect\n")


def break_off_upload(server):
    """Sends half a file and goes away."""
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n' + bytes(100_000)
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + body)
        wait_until(lambda: broken_uploads(server))


def broken_uploads(server):
    return [path for path in server.temporary.glob("*/cache/*") if path.is_file()]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
