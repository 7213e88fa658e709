"""Frames that arrive while they are animated."""

import itertools
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import live
from motion_transformer_jax.inference.live import LiveDriving, is_live
from motion_transformer_jax.inference.options import AnimationOptions

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)


@pytest.fixture
def piped(monkeypatch, tmp_path):
    """Opens the standard input, which gives `FRAMES`."""
    (tmp_path / "frames").write_bytes(FRAMES.tobytes())

    def opened(**options):
        file.seek(0)
        return LiveDriving.open("-", AnimationOptions(driving_size=(30, 20), **options))

    with open(tmp_path / "frames", "rb") as file:
        monkeypatch.setattr(live, "_STANDARD_INPUT", file.fileno())
        yield opened


def test_names():
    assert is_live("-") and is_live("/dev/video0")
    assert not is_live("a.mp4") and not is_live("/dev/shm/video.mp4") and not is_live("./-")


def test_frames_from_a_pipe(piped):
    driving = piped()
    assert (driving.fps, driving.num_frames, driving.sound) == (25, None, None)
    np.testing.assert_array_equal(list(driving.frames()), FRAMES)
    assert piped(fps=12.5).fps == 12.5
    np.testing.assert_array_equal(list(piped(fps=10, end=0.3).frames()), FRAMES[:3])


def test_one_crop_for_all_frames(piped, monkeypatch):
    np.testing.assert_array_equal(list(piped(driving_crop=(5, 2, 9, 9)).frames()), FRAMES[:, 2:11, 5:14])
    seen = []
    monkeypatch.setattr(
        live, "choose_box", lambda crop, frame, name, leave_room: seen.append(frame) or live.Box(1, 0, 20)
    )
    np.testing.assert_array_equal(list(piped(driving_crop="auto").frames()), FRAMES[:, :, 1:21])
    np.testing.assert_array_equal(seen, FRAMES[:1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_frame": "auto"}, "leave out --best-frame and --start"),
        ({"best_frame": 3}, "leave out --best-frame and --start"),
        ({"start": 1.0}, "leave out --best-frame and --start"),
    ],
)
def test_what_has_not_happened_yet(piped, options, message):
    with pytest.raises(UserError, match=message):
        piped(**options)


def test_raw_frames_need_a_size():
    with pytest.raises(UserError, match="give --driving-size WxH"):
        LiveDriving.open("-", AnimationOptions())


def test_no_standard_input(monkeypatch):
    monkeypatch.setattr(live, "_STANDARD_INPUT", 10**6)
    with pytest.raises(UserError, match=r"the standard input cannot be read \(Bad file descriptor\)"):
        next(LiveDriving.open("-", AnimationOptions(driving_size=(1, 1))).frames())


def test_no_camera():
    with pytest.raises(UserError, match="cannot open the camera /dev/video97"):
        LiveDriving.open("/dev/video97", AnimationOptions())


def slow_results(driving, seconds):
    """What an animator gives that takes so long for each frame."""
    for frame in driving.frames():
        time.sleep(seconds)
        yield frame


def paced(count, seconds):
    """Numbers, one after the other at that distance, as a camera gives frames."""
    for index in range(count):
        time.sleep(seconds)
        yield index


def test_latency_counts_from_the_arrival():
    """Frames that wait for a slow animator are later and later, without any pause in reading."""
    driving = LiveDriving("a", paced(6, 0.02), 25, "none", newest_only=False)
    assert driving.latency() is None
    assert list(driving.follow(slow_results(driving, 0.1))) == list(range(6))
    latency = driving.latency()
    expected = [0.1 + 0.08 * index for index in range(6)]
    assert latency.median == pytest.approx(np.percentile(expected, 50), abs=0.06)
    assert latency.percentile_95 == pytest.approx(np.percentile(expected, 95), abs=0.08)
    assert latency.paused < 0.02


def test_no_frame_is_lost_and_few_wait(monkeypatch):
    """Of 20 frames that are there at once, reading pauses until the last eight may wait."""
    monkeypatch.setattr(live, "_MOST_WAITING", 2)
    drawn, ahead = itertools.count(), []
    frames = (next(drawn) for _ in range(20))
    driving = LiveDriving("a", frames, 25, "none", newest_only=False)
    for result in driving.follow(slow_results(driving, 0.02)):
        ahead.append(int(repr(drawn)[6:-1]) - result)
    assert len(ahead) == 20 and max(ahead) <= 5
    assert 0.2 < driving.latency().paused < 1 and driving.latency().median < 0.15


def test_the_newest_frame_of_a_pipe(piped, monkeypatch):
    """What comes while the animator works is left out, and results are shown as long as the frames took."""
    driving = piped(live=True, fps=50)
    driving._arrivals = live._Arrivals(paced(30, 0.02), newest_only=True)
    results = list(driving.follow(slow_results(driving, 0.1)))
    assert results == sorted(results) and len(set(results)) < 12 and results[-1] == 29
    assert len(results) == pytest.approx(30, abs=4)
    latency = driving.latency()
    assert latency.percentile_95 < 0.2 and latency.paused == 0


def test_the_newest_frame_counts():
    first_taken, busy, ready_again = (threading.Event() for _ in range(3))

    def frames():
        yield 0
        first_taken.wait()
        yield from range(1, 50)
        busy.set()
        ready_again.wait()
        yield from range(50, 100)

    newest = (item for _, item in live._Arrivals(frames(), newest_only=True))
    taken = [next(newest)]
    first_taken.set()
    busy.wait()
    taken.append(next(newest))
    ready_again.set()
    taken += newest
    assert taken[:2] == [0, 49] and taken == sorted(set(taken)) and taken[-1] == 99


@pytest.mark.parametrize("newest_only", [True, False])
def test_faults_are_told(newest_only):
    def frames():
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(live._Arrivals(frames(), newest_only=newest_only))


@pytest.mark.parametrize("newest_only", [True, False])
def test_frames_are_let_go(newest_only):
    drawn = itertools.count()
    arrivals = iter(live._Arrivals(iter(drawn), newest_only=newest_only))
    next(arrivals)
    arrivals.close()
    for _ in range(200):
        before = next(drawn)
        time.sleep(0.02)
        if next(drawn) == before + 1:
            return
    pytest.fail("frames are still drawn")


@pytest.mark.parametrize("newest_only", [True, False])
def test_a_pipe_that_stays_open_keeps_no_process(newest_only):
    """A thread that still waits for a frame does not disturb the end of the program."""
    code = f"""
from motion_transformer_jax.inference.live import LiveDriving
from motion_transformer_jax.inference.options import AnimationOptions
def read_one():
    print(next(LiveDriving.open("-", AnimationOptions(driving_size=(2, 1), live={newest_only})).frames()).tolist())
read_one()
raise SystemExit(7)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(bytes(range(6)))
        process.stdin.flush()
        assert process.wait(60) == 7
        assert process.stdout.read() == b"[[[0, 1, 2], [3, 4, 5]]]\n" and process.stderr.read() == b""


def test_a_cameras_results_keep_its_pace(monkeypatch):
    """At 10 frames a second: two results in one period, then a pause of three."""
    times = [0.0, 0.02, 0.11, 0.42, 0.5]
    driving = LiveDriving("camera", iter(()), 10, "none", newest_only=True)
    driving._arrived.extend(times)
    assert list(driving.follow("abcde")) == ["a", "c", "d", "d", "d", "e"]


def test_the_first_interrupt_finishes_and_the_second_abandons():
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*, after, times):
        """What is given of six frames, the Ctrl-C included."""
        for frame in LiveDriving("a", iter(range(6)), 25, "none", newest_only=False).frames():
            yield frame
            for _ in range(times if frame == after else 0):
                signal.raise_signal(signal.SIGINT)  # to this very thread, one by one

    assert list(interrupted(after=1, times=1)) == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        list(interrupted(after=0, times=2))
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_left_alone_in_a_thread():
    got = []
    driving = LiveDriving("a", iter(range(3)), 25, "none", newest_only=False)
    thread = threading.Thread(target=lambda: got.extend(driving.frames()))
    thread.start()
    thread.join()
    assert got == [0, 1, 2]
