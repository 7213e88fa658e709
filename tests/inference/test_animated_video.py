"""From files to files, below the command: hooks, several sources, memory."""

import gc
import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from sounding_clip import sound_codec, write_sounding_clip
from tiny_model import SIZE, random_frames, tiny_config, tiny_variables

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.animated_frame import AnimatedFrame, DrivingFrame, SourceState
from motion_transformer_jax.inference.animated_video import animate_sources, animate_video
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.models.motion import Motion

NUM_FRAMES = 6


@pytest.fixture(scope="module")
def animator():
    return Animator(tiny_config(), tiny_variables(), batch_size=4)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for index, image in enumerate(random_frames(2, 60, 44, seed=9)):
        Image.fromarray(image).save(folder / f"source{index}.png")
    write_video(folder / "driving.mp4", random_frames(NUM_FRAMES, 48, 64), fps=25)
    return folder


def test_each_finished_frame_is_told(animator, files, tmp_path):
    told = []
    options = AnimationOptions(lossless=True, paste_back=True)
    summary = animate_video(
        lambda: animator,
        files / "source0.png",
        files / "driving.mp4",
        tmp_path / "a.mp4",
        options,
        on_frame=lambda *arguments: told.append(arguments),
    )
    indices, totals, images, frames = zip(*told, strict=True)
    assert indices == tuple(range(NUM_FRAMES)) and set(totals) == {NUM_FRAMES}
    np.testing.assert_array_equal(images, list(read_frames(tmp_path / "a.mp4")))
    assert {frame.image.shape for frame in frames} == {(SIZE, SIZE, 3)}
    assert (summary.out, summary.frames, summary.best_frame, summary.latency) == (tmp_path / "a.mp4", 6, None, None)
    assert summary.seconds > 0


def test_the_hook_can_end_it(animator, files, tmp_path):
    def stop(index, total, image, frame):
        if index == 2:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        animate_video(lambda: animator, files / "source0.png", files / "driving.mp4", tmp_path / "a.mp4", on_frame=stop)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("options", [{}, {"best_frame": "auto"}], ids=str)
def test_what_is_told_has_its_driving_frame(animator, files, tmp_path, options):
    driving = list(read_frames(files / "driving.mp4", size=(SIZE, SIZE)))
    told = []
    animate_video(
        lambda: animator,
        files / "source0.png",
        files / "driving.mp4",
        tmp_path / "a.mp4",
        AnimationOptions(mode="relative", **options),
        on_frame=lambda index, total, image, frame: told.append(frame.driving),
    )
    np.testing.assert_array_equal(told, driving)


@pytest.mark.parametrize("options", [{"best_frame": "auto"}, {"driving_crop": "auto"}], ids=str)
def test_it_can_be_ended_before_the_first_frame(animator, files, tmp_path, options):
    """While the whole driving video is looked at."""
    read, drawn = [], []

    def stop():
        read.append(1)
        if len(read) == NUM_FRAMES - 1:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        animate_video(
            lambda: animator,
            files / "source0.png",
            files / "driving.mp4",
            tmp_path / "a.mp4",
            AnimationOptions(mode="relative", **options),
            on_frame=lambda *arguments: drawn.append(arguments),
            on_read=stop,
        )
    assert drawn == [] and os.listdir(tmp_path) == []


@pytest.mark.parametrize("options", [{}, {"best_frame": 3, "smooth": True}, {"best_frame": "auto"}], ids=str)
@pytest.mark.parametrize("view", ["result", "side-by-side"])
def test_several_sources_are_as_each_alone(animator, files, tmp_path, monkeypatch, options, view):
    """With the driving motions estimated once."""
    options = AnimationOptions(**options, view=view, lossless=True)
    sources = [files / "source0.png", files / "source1.png"]
    alone = [
        animate_video(lambda: animator, source, files / "driving.mp4", tmp_path / f"{source.stem}.mp4", options)
        for source in sources
    ]
    tracked, track = [], animator.track
    monkeypatch.setattr(animator, "track", lambda frames: tracked.append(1) or track(frames))
    summaries = animate_sources(lambda: animator, sources, files / "driving.mp4", tmp_path / "out", options)
    assert len(tracked) == 1
    for source, summary, single in zip(sources, summaries, alone, strict=True):
        assert summary.out == str(tmp_path / "out" / f"{source.stem}.mp4")
        assert (summary.frames, summary.best_frame) == (NUM_FRAMES, single.best_frame)
        np.testing.assert_array_equal(list(read_frames(summary.out)), list(read_frames(single.out)))
    assert options.best_frame == "auto" or not np.array_equal(*(list(read_frames(each.out)) for each in summaries))


@pytest.fixture
def sources(tmp_path):
    """A folder of three pictures, of which "2.png" is damaged and "3.png" smaller."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, side in {"1": 60, "2": 60, "3": 40}.items():
        Image.fromarray(random_frames(1, side, side)[0]).save(folder / f"{name}.png")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:100])
    return folder


def test_damaged_pictures_of_a_folder_are_left_out(animator, files, sources, tmp_path, caplog):
    summaries = animate_sources(lambda: animator, [sources], files / "driving.mp4", tmp_path / "out", form="gif")
    assert sorted(os.listdir(tmp_path / "out")) == ["1.gif", "3.gif"] and len(summaries) == 2
    warning = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warning) == 1 and str(sources / "2.png") in warning[0] and warning[0].endswith("it is left out")
    for path in (sources / "1.png", sources / "3.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.png is not an image"):
        animate_sources(no_model, [sources], files / "driving.mp4", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_failure_in_between_leaves_what_was_finished(animator, files, tmp_path):
    def stop_at_the_second(index, total, image, frame):
        if index == 0 and (tmp_path / "out" / "source0.gif").exists():
            raise InterruptedError("enough")

    inputs = [files / "source0.png", files / "source1.png"]
    with pytest.raises(InterruptedError):
        animate_sources(
            lambda: animator, inputs, files / "driving.mp4", tmp_path / "out", form="gif", on_frame=stop_at_the_second
        )
    assert os.listdir(tmp_path / "out") == ["source0.gif"]


def test_the_speed_is_of_what_comes_after_the_first_batch(files, tmp_path):
    """Which takes longer, since the model is compiled."""

    class Slow(Stub):
        def animate_tracked(self, source, driving, initial, **options):
            for index, frame in enumerate(super().animate_tracked(source, driving, initial, **options)):
                time.sleep(1 if index == 0 else 0.05)
                yield frame

    summary = animate_video(Slow, files / "source0.png", files / "driving.mp4", tmp_path / "a.gif")
    assert summary.frames / summary.seconds < 5 < 6.5 < summary.frames_per_sec <= 20
    summary = animate_video(Slow, files / "source0.png", files / "source1.png", tmp_path / "a.png")
    assert (summary.frames, summary.frames_per_sec) == (1, None) and summary.seconds > 1


def test_the_best_frame_is_not_looked_for_where_it_is_not_used(files, tmp_path):
    options = AnimationOptions(mode="absolute", best_frame=999)
    assert animate_video(Stub, files / "source0.png", files / "driving.mp4", tmp_path / "a.gif", options).frames == 6
    with pytest.raises(UserError, match="has 6 frames; expected 0 to 5"):
        options = replace(options, mode=None)
        animate_video(no_model, files / "source0.png", files / "driving.mp4", tmp_path / "b.gif", options)


def no_model():
    pytest.fail("the model is asked for")


def test_mistakes_are_found_before_the_model(files, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    small = tmp_path / "small.png"
    Image.fromarray(random_frames(1, 40, 40)[0]).save(small)
    for sources, driving, message in [
        ([files / "source0.png", tmp_path / "text.png"], "driving.mp4", "is not an image"),
        ([files / "source0.png", files / "none.png"], "driving.mp4", "there is no image"),
        ([files / "source0.png", files / "source0.png"], "driving.mp4", "would have the same result"),
        ([files / "source0.png"], "none.mp4", "there is no file"),
        ([files / "source0.png"], "-", "live frames move one source"),
        ([files / "source0.png", small], "driving.mp4", r"does not lie inside .*small\.png, which is 40x40"),
    ]:
        driving = driving if driving == "-" else files / driving
        with pytest.raises(UserError, match=message):
            animate_sources(no_model, sources, driving, tmp_path / "out", AnimationOptions(crop=(10, 0, 34, 44)))
    for out in ("-", tmp_path / "a.mp4", tmp_path / "a.png"):
        with pytest.raises(UserError, match=f"give a folder for them instead of {out}"):
            animate_sources(no_model, [files], files / "driving.mp4", out)
    with pytest.raises(UserError, match="would replace the input"):
        animate_sources(no_model, [files / "source0.png"], files / "source1.png", files, form="png")
    assert sorted(os.listdir(tmp_path)) == ["small.png", "text.png"]


def test_a_damaged_driving_video_is_told_once(animator, files, tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    write_video(tmp_path / "whole.mp4", noise, fps=25)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "part.mp4").write_bytes(content[: len(content) * 2 // 3])
    options = AnimationOptions(view="side-by-side", driving_crop="auto", best_frame="auto")
    sources = [files / "source0.png", files / "source1.png"]
    animate_sources(lambda: animator, sources, tmp_path / "part.mp4", tmp_path / "out", options)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


class Stub:
    """An engine that shows the driving frame, so that the way there is all that takes time and memory."""

    image_size, mode, batch_size = 16, "relative", 2

    def choose_mode(self, mode):
        return mode or self.mode

    def encode_source(self, image):
        return SourceState(image, (), None)

    def track(self, frames):
        for frame in frames():
            keypoints = np.full((1, 10, 2), frame.mean() / 255, np.float32)
            yield DrivingFrame(Motion(keypoints, np.zeros((1, 10, 2, 2), np.float32)), frame)

    def animate_tracked(self, source, driving, initial, **options):
        for frame in driving:
            yield AnimatedFrame(frame.image, frame.image, frame.motion, frame.motion, np.zeros((1, 1, 11)))


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Python's and FFmpeg's, of a video with sound; what grows is the file's index, some hundred bytes a frame."""
    side, length, early = 128, 1440, 240
    repeat(write_sounding_clip(tmp_path / "short.mp4", side=side), tmp_path / "long.mp4", length)
    Image.fromarray(random_frames(1, side, side)[0]).save(tmp_path / "a.png")
    resident = {}

    def look(index, _total, _image, _frame):
        if index in (early, length - 1):
            gc.collect()
            resident[index] = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    options = AnimationOptions(smooth=True, view="side-by-side")
    summary = animate_video(
        Stub, tmp_path / "a.png", tmp_path / "long.mp4", tmp_path / "out.mp4", options, on_frame=look
    )
    assert summary.frames == length and sound_codec(tmp_path / "out.mp4")
    grown = (resident[length - 1] - resident[early]) / (length - early)
    assert grown < side * side * 3 / 4  # of what keeping the driving frames alone would take


def test_large_driving_frames_are_shrunk_once(animator, files, tmp_path):
    """Beside a pasted result of 60 pixels' height: not to the model's 32 pixels and back."""
    frames, rows = random_frames(NUM_FRAMES, 400, 300, seed=3), []
    write_video(tmp_path / "large.mp4", frames, fps=25, lossless=True)
    options = AnimationOptions(view="side-by-side", paste_back=True, driving_crop=(0, 50, 300, 300))
    files = files / "source0.png", tmp_path / "large.mp4", tmp_path / "a.mp4"
    animate_video(lambda: animator, *files, options, on_frame=lambda index, total, row, frame: rows.append(row))
    expected = [resize_image(frame[50:350], (60, 60)) for frame in frames]
    np.testing.assert_array_equal(np.stack(rows)[:, :, 44:104], expected)


def repeat(clip, path, length):
    """A longer clip, without encoding anything."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        streams = {stream.type: target.add_stream_from_template(stream) for stream in source.streams}
        frames = source.streams.video[0].frames
        seconds = Fraction(frames) / source.streams.video[0].average_rate
        packets = [packet for packet in source.demux() if packet.size and is_within(packet, seconds)]
        for turn in range(length // frames):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.time_base, copy.duration, copy.is_keyframe = packet.time_base, packet.duration, packet.is_keyframe
                shift = round(turn * seconds / packet.time_base)
                copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
                copy.stream = streams[packet.stream.type]
                target.mux(copy)


def is_within(packet, seconds):
    """Whether a packet of sound does not overlap those of another turn."""
    end = (packet.pts + packet.duration) * packet.time_base
    return packet.stream.type == "video" or (packet.pts >= 0 and end <= seconds)
