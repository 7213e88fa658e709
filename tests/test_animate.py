"""The command `animate`: files in, a video out, one line for every mistake."""

import functools
import logging
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_model import (
    SIZE,
    random_frames,
    save_checkpoint,
    tiny_avd_config,
    tiny_avd_variables,
    tiny_config,
    tiny_variables,
)

from motion_transformer_jax import animate
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import animated_video
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.training.saved_config import save_config

NUM_FRAMES = 6
FPS = 12.5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A checkpoint `run`, a portrait `source.png`, a video `driving.mp4` and the same frames in a folder `frames`."""
    folder = tmp_path_factory.mktemp("inputs")
    save_checkpoint(folder / "run", tiny_config(), tiny_variables())
    save_checkpoint(folder / "avd", tiny_avd_config(), tiny_avd_variables())
    Image.fromarray(random_frames(1, 60, 44, seed=9)[0]).save(folder / "source.png")
    frames = random_frames(NUM_FRAMES, 48, 64)
    write_video(folder / "driving.mp4", frames, fps=FPS)
    (folder / "frames").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "frames" / f"{index}.png")
    add_broken_inputs(folder)
    return folder


def add_broken_inputs(folder):
    """What can be wrong with files, by name."""
    (folder / "empty").mkdir()
    (folder / "text.png").write_text("no image")
    (folder / "text.mp4").write_text("no video")
    (folder / "half" / "checkpoints" / "1.orbax-checkpoint-tmp").mkdir(parents=True)
    save_config(folder / "half", tiny_config())
    shutil.copytree(folder / "run", folder / "other")
    config = tiny_config()
    config.model.num_keypoints += 1
    save_config(folder / "other", config)


@pytest.fixture
def run(inputs, tmp_path):
    """Runs the command on those inputs, with other paths or options by name; returns (exit status, output's path)."""

    def run(out="result.mp4", options=(), **paths):
        named = {"checkpoint": "run", "source": "source.png", "driving": "driving.mp4"} | paths
        argv = [part for name, path in named.items() for part in (f"--{name}", str(inputs / path))]
        return run_command(animate.main, [*argv, "--out", str(tmp_path / out), *options]), tmp_path / out

    return run


def frames_of(path):
    return np.stack(list(read_frames(path)))


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_frames_and_rate_are_kept(run, capsys, suffix):
    status, out = run(f"result.{suffix}")
    assert status == 0
    info = probe_video(out)
    assert (info.width, info.height, info.fps) == (SIZE, SIZE, FPS)
    assert len(frames_of(out)) == NUM_FRAMES
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{out}: 6 frames, ") and shown.out.endswith(" frames/s\n")
    assert shown.out.count("\n") == 1 and shown.err == ""
    assert os.listdir(out.parent) == [out.name]


@pytest.fixture
def written(monkeypatch):
    """What goes to the video's encoder, exact; the model is loaded once in a test."""
    frames = []
    monkeypatch.setattr(Animator, "load", functools.cache(Animator.load))
    write = animated_video.write_video

    def record(path, stream, *, fps):
        frames.clear()
        write(path, (frames.append(frame) or frame for frame in stream), fps=fps)

    monkeypatch.setattr(animated_video, "write_video", record)
    return frames


def test_options_reach_the_engine(run, inputs, written):
    animator = Animator.load(inputs / "run")
    source, driving = read_image(inputs / "source.png"), list(read_frames(inputs / "driving.mp4"))
    for options, expected in [
        ([], {}),
        (["--mode", "absolute"], {"mode": "absolute"}),
        (["--adapt-scale"], {"adapt_scale": True}),
        (["--best-frame", "0"], {"best_frame": 0}),
        (["--best-frame", "5"], {"best_frame": 5}),
        (["--best-frame", "auto"], {"best_frame": "auto"}),
    ]:
        assert run(options=options)[0] == 0
        np.testing.assert_array_equal(written, list(animator.animate(source, driving, **expected)))


def test_defaults_are_the_checkpoints(run, inputs, written, tmp_path):
    config = tiny_config()
    config.animate.mode, config.animate.adapt_scale = "absolute", True
    shutil.copytree(inputs / "run", tmp_path / "configured")
    save_config(tmp_path / "configured", config)
    for ours, same in [
        ([], ["--mode", "absolute"]),
        (["--mode", "relative"], ["--mode", "relative", "--adapt-scale"]),
        (["--mode", "relative", "--no-adapt-scale"], ["--mode", "relative"]),
    ]:
        run(options=ours, checkpoint=tmp_path / "configured")
        frames = np.stack(written)
        run(options=same)
        np.testing.assert_array_equal(frames, written)


def test_best_frame_is_found(run, inputs, capsys):
    assert run(source="frames/4.png", driving="frames", options=["--best-frame", "auto"])[0] == 0
    assert capsys.readouterr().out.endswith(", best frame 4\n")


def test_side_by_side(run, inputs, written):
    status, out = run(options=["--side-by-side"])
    assert status == 0 and frames_of(out).shape == (NUM_FRAMES, SIZE, 3 * SIZE, 3)
    sources, driving, results = np.split(np.stack(written), 3, axis=2)
    np.testing.assert_array_equal(sources[3], read_image(inputs / "source.png", size=(SIZE, SIZE)))
    np.testing.assert_array_equal(driving, list(read_frames(inputs / "driving.mp4", size=(SIZE, SIZE))))
    run()
    np.testing.assert_array_equal(results, written)


def test_frame_rates(run):
    for driving, options, fps, count in [
        ("driving.mp4", ["--fps", "25"], 25, 2 * NUM_FRAMES),  # resampled
        ("frames", [], 25, NUM_FRAMES),
        ("frames", ["--fps", "10"], 10, NUM_FRAMES),  # taken at that rate
    ]:
        status, out = run(driving=driving, options=options)
        assert (status, probe_video(out).fps, len(frames_of(out))) == (0, fps, count)


def test_a_single_driving_frame(run):
    status, out = run(driving="frames/0.png", options=["--best-frame", "auto"])
    assert status == 0 and len(frames_of(out)) == 1


@pytest.mark.parametrize(("size", "mode"), [((1, 1), "RGB"), ((8000, 8000), "1"), ((70, 50), "L"), ((50, 70), "RGBA")])
def test_sources(run, tmp_path, size, mode):
    source = tmp_path / "source.png"
    Image.new(mode, size, 1).save(source)
    status, out = run(source=source, driving="frames/0.png")
    assert status == 0 and len(frames_of(out)) == 1


def test_output_is_replaced(run, tmp_path):
    (tmp_path / "result.mp4").write_bytes(b"old")
    status, out = run()
    assert status == 0 and len(frames_of(out)) == NUM_FRAMES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "none.png"}, "there is no image"),
        ({"source": "text.png"}, "is not an image"),
        ({"source": "driving.mp4"}, "is not an image"),
        ({"source": "empty"}, "cannot read the image"),
        ({"driving": "none.mp4"}, "there is no file or folder"),
        ({"driving": "text.mp4"}, "as a video"),
        ({"driving": "empty"}, "no readable frame"),
        ({"checkpoint": "none"}, "no folder"),
        ({"checkpoint": "empty"}, "no config.json"),
        ({"checkpoint": "half"}, "only half-written checkpoints"),
        ({"checkpoint": "other"}, "the checkpoint is from another config"),
        ({"out": "none/result.mp4"}, "there is no folder"),
        ({"out": "/proc/result.mp4"}, "cannot write /proc/result.mp4"),
        ({"out": "result.avi"}, "written as .mp4, .webm or .gif"),
        ({"out": "result"}, "written as .mp4, .webm or .gif"),
        ({"options": ["--best-frame", "6"]}, "has 6 frames; expected 0 to 5 or auto"),
        ({"options": ["--best-frame=-1"]}, "expected auto or a frame's number from 0, got '-1'"),
        ({"options": ["--best-frame", "last"]}, "expected auto or a frame's number from 0, got 'last'"),
        ({"options": ["--fps", "0"]}, "the frame rate is 0; expected between"),
        ({"options": ["--fps", "nan"]}, "the frame rate is nan; expected between"),
        ({"options": ["--mode", "sideways"]}, "--mode"),
        ({"options": ["--mode", "avd"]}, "mode avd needs a disentangler, which this checkpoint lacks; train one"),
        ({"options": ["--size", "3"]}, "--size"),
    ],
    ids=str,
)
def test_mistakes(run, inputs, tmp_path, capsys, changes, message):
    before = sorted(inputs.rglob("*"))
    assert run(**changes)[0] == 2
    assert message in one_line_error(capsys)
    assert os.listdir(tmp_path) == [] and sorted(inputs.rglob("*")) == before


def one_line_error(capsys):
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize(
    "changes",
    [{"source": "none.png"}, {"driving": "none.mp4"}, {"out": "none/result.mp4"}, {"options": ["--best-frame", "6"]}],
    ids=str,
)
def test_files_are_looked_at_before_the_model(run, monkeypatch, changes):
    monkeypatch.setattr(Animator, "load", None)
    assert run(**changes)[0] == 2


@pytest.mark.parametrize("name", ["source.png", "driving.mp4"])
def test_inputs_are_not_replaced(run, inputs, capsys, name):
    before = (inputs / name).read_bytes()
    assert run(out=inputs / "frames" / ".." / name)[0] == 2
    assert "would replace the input" in one_line_error(capsys)
    assert (inputs / name).read_bytes() == before


@pytest.mark.parametrize("error", [UserError("the disk is gone"), KeyboardInterrupt(), ValueError("a fault")])
def test_nothing_is_left_of_a_failure(run, tmp_path, monkeypatch, error):
    (tmp_path / "result.mp4").write_bytes(b"old")

    def fail_later(*arguments, **options):
        yield from random_frames(3)
        raise error

    monkeypatch.setattr(animated_video, "read_frames", fail_later)
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a fault"):
            run()
    else:
        assert run()[0] in (2, 130)
    assert os.listdir(tmp_path) == ["result.mp4"] and (tmp_path / "result.mp4").read_bytes() == b"old"


def test_truncated_driving_video(run, inputs, tmp_path, caplog):
    """The readable part is animated, with one warning, also where the video is read twice."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    write_video(tmp_path / "whole.mp4", noise, fps=25)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "part.mp4").write_bytes(content[: len(content) * 2 // 3])
    status, out = run(driving=tmp_path / "part.mp4", options=["--best-frame", "auto"])
    assert status == 0 and 5 < len(frames_of(out)) < 20
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the file ends early" in caplog.text


def test_options_of_relative_motion_in_absolute_mode(run, caplog):
    assert run(options=["--mode", "absolute", "--best-frame", "auto"])[0] == 0
    assert [record.message for record in caplog.records] == [
        "a best frame and an adapted scale act in relative mode only; ignored"
    ]


def test_disentanglement(run, written, caplog):
    """It is the default of a checkpoint with a disentangler, and another animation than the absolute one."""
    frames = {}
    for mode in (None, "avd", "absolute"):
        status, _ = run(checkpoint="avd", options=["--mode", mode] if mode else [])
        assert status == 0 and len(written) == NUM_FRAMES
        frames[mode] = np.stack(written).astype(float)
    assert not caplog.records
    np.testing.assert_array_equal(frames["avd"], frames[None])
    assert np.abs(frames["avd"] - frames["absolute"]).mean() > 0.1
    assert np.abs(np.diff(frames["avd"], axis=0)).mean() > 0.1
    assert run(checkpoint="avd", options=["--best-frame", "3"])[0] == 0
    assert "act in relative mode only" in caplog.text


def test_progress_is_for_terminals(run, monkeypatch, capsys):
    assert run(options=["--best-frame", "auto"])[0] == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(options=["--best-frame", "auto"])[0] == 0
    shown = capsys.readouterr().err
    assert "choosing the best frame" in shown and "animating" in shown and f"{NUM_FRAMES}/{NUM_FRAMES}" in shown


def test_needs_no_training_libraries(inputs, tmp_path):
    """In a process of its own, from arguments to a video."""
    program = """
import sys
from motion_transformer_jax import animate, cli
assert cli.run_command(animate.main) == 0
loaded = {"tensorflow", "clu", "grain", "torch"} & set(sys.modules)
assert not loaded, loaded
"""
    paths = {"checkpoint": "run", "source": "source.png", "driving": "frames/0.png"}
    argv = [part for name, path in paths.items() for part in (f"--{name}", str(inputs / path))]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir)}
    command = [sys.executable, "-W", "error", "-c", program, *argv, "--out", str(tmp_path / "result.mp4")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/result.mp4: 1 frames, ") and done.stderr == ""


def test_a_step_is_chosen(inputs):
    assert Animator.load(inputs / "run", step=1, batch_size=3).batch_size == 3
    with pytest.raises(UserError, match="no step 7"):
        Animator.load(inputs / "run", step=7)


def test_frames_are_shown_as_they_are_drawn(inputs, written, tmp_path):
    animator, shown = Animator.load(inputs / "run"), []
    files = inputs / "source.png", inputs / "driving.mp4", tmp_path / "result.mp4"
    animated_video.animate_video(
        lambda: animator, *files, side_by_side=True, on_frame=lambda *frame: shown.append((*frame, len(written)))
    )
    indices, totals, images, already_written = zip(*shown, strict=True)
    assert indices == already_written == tuple(range(NUM_FRAMES)) and set(totals) == {NUM_FRAMES}
    np.testing.assert_array_equal(images, written)


def test_whoever_is_shown_the_frames_may_end_it(inputs, tmp_path):
    class Enough(Exception):
        pass

    def look(index, total, image):
        if index == 2:
            raise Enough

    files = inputs / "source.png", inputs / "driving.mp4", tmp_path / "result.mp4"
    with pytest.raises(Enough):
        animated_video.animate_video(lambda: Animator.load(inputs / "run"), *files, on_frame=look)
    assert os.listdir(tmp_path) == []


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.animate"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for option in ("--checkpoint", "--source", "--driving", "--no-adapt-scale", "--best-frame", "--side-by-side"):
        assert option in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
