"""Frames that arrive while they are animated."""

import io
import itertools
import os
import signal
import threading
import time

import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import live
from motion_transformer_jax.inference.live import LiveDriving, is_live
from motion_transformer_jax.inference.options import AnimationOptions

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)


def piped(monkeypatch, frames=FRAMES, **options):
    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": io.BytesIO(frames.tobytes())}))
    return LiveDriving.open("-", AnimationOptions(driving_size=(30, 20), **options))


def test_names():
    assert is_live("-") and is_live("/dev/video0")
    assert not is_live("a.mp4") and not is_live("/dev/shm/video.mp4") and not is_live("./-")


def test_frames_from_a_pipe(monkeypatch):
    driving = piped(monkeypatch)
    assert (driving.fps, driving.num_frames, driving.sound) == (25, None, None)
    np.testing.assert_array_equal(list(driving.frames()), FRAMES)
    assert piped(monkeypatch, fps=12.5).fps == 12.5
    np.testing.assert_array_equal(list(piped(monkeypatch, fps=10, end=0.3).frames()), FRAMES[:3])


def test_one_crop_for_all_frames(monkeypatch):
    np.testing.assert_array_equal(list(piped(monkeypatch, driving_crop=(5, 2, 9, 9)).frames()), FRAMES[:, 2:11, 5:14])
    seen = []
    monkeypatch.setattr(
        live, "choose_box", lambda crop, frame, name, leave_room: seen.append(frame) or live.Box(1, 0, 20)
    )
    np.testing.assert_array_equal(list(piped(monkeypatch, driving_crop="auto").frames()), FRAMES[:, :, 1:21])
    np.testing.assert_array_equal(seen, FRAMES[:1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_frame": "auto"}, "leave out --best-frame and --start"),
        ({"best_frame": 3}, "leave out --best-frame and --start"),
        ({"start": 1.0}, "leave out --best-frame and --start"),
    ],
)
def test_what_has_not_happened_yet(monkeypatch, options, message):
    with pytest.raises(UserError, match=message):
        piped(monkeypatch, **options)


def test_raw_frames_need_a_size():
    with pytest.raises(UserError, match="give --driving-size WxH"):
        LiveDriving.open("-", AnimationOptions())


def test_no_camera():
    with pytest.raises(UserError, match="cannot open the camera /dev/video97"):
        LiveDriving.open("/dev/video97", AnimationOptions())


def test_results_come_through_with_their_latency(monkeypatch):
    now = 0.0
    monkeypatch.setattr(live.time, "monotonic", lambda: now)
    driving = piped(monkeypatch)
    assert driving.latency() is None

    def results():
        nonlocal now
        for index, _ in enumerate(driving.frames()):
            now += 0.5 if index == 4 else 0.25
            yield index

    assert list(driving.follow(results())) == [0, 1, 2, 3, 4]
    latency = driving.latency()
    assert latency.median == 0.25 and latency.percentile_95 == pytest.approx(0.45)


def test_a_cameras_newest_frame_counts():
    first_taken, busy, ready_again = (threading.Event() for _ in range(3))

    def frames():
        yield 0
        first_taken.wait()
        yield from range(1, 50)
        busy.set()
        ready_again.wait()
        yield from range(50, 100)

    newest = live._newest(frames())
    taken = [next(newest)]
    first_taken.set()
    busy.wait()
    taken.append(next(newest))
    ready_again.set()
    taken += newest
    assert taken[:2] == [0, 49] and taken == sorted(set(taken)) and taken[-1] == 99


def test_a_cameras_faults_are_told():
    def frames():
        yield 1
        raise OSError("unplugged")

    newest = live._newest(frames())
    with pytest.raises(OSError, match="unplugged"):
        list(newest)


def test_a_camera_is_let_go():
    drawn = itertools.count()
    newest = live._newest(iter(drawn))
    next(newest)
    newest.close()
    for _ in range(200):
        before = next(drawn)
        time.sleep(0.02)
        if next(drawn) == before + 1:
            return
    pytest.fail("frames are still drawn")


def test_a_cameras_results_keep_its_pace(monkeypatch):
    """At 10 frames a second: two results in one period, then a pause of three."""
    times = [0.0, 0.02, 0.11, 0.42, 0.5]
    driving = LiveDriving("camera", iter(()), 10, "none", newest_only=True)
    driving._arrived.extend(times)
    assert list(driving.follow("abcde")) == ["a", "c", "d", "d", "d", "e"]


def test_the_first_interrupt_finishes_and_the_second_abandons():
    before = signal.getsignal(signal.SIGINT)

    def frames():
        for index in range(6):
            if index == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield index

    driving = LiveDriving("a", frames(), 25, "none", newest_only=False)
    assert list(driving.frames()) == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before

    def impatient():
        yield 0
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        yield 1

    with pytest.raises(KeyboardInterrupt):
        list(LiveDriving("a", impatient(), 25, "none", newest_only=False).frames())
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_left_alone_in_a_thread():
    got = []
    driving = LiveDriving("a", iter(range(3)), 25, "none", newest_only=False)
    thread = threading.Thread(target=lambda: got.extend(driving.frames()))
    thread.start()
    thread.join()
    assert got == [0, 1, 2]
