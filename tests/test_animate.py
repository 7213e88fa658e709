"""The command `animate`: files in, a video out, one line for every mistake."""

import functools
import logging
import os
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from sounding_clip import BEEPS, heard_beeps, sound_codec, write_sounding_clip
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
from motion_transformer_jax.data.image import read_image, resize_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import driving, live, outputs
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.training.saved_config import save_config
from motion_transformer_jax.viz.raster import resize

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
    write_sounding_clip(folder / "loud.mp4")
    (folder / "frames").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "frames" / f"{index}.png")
    return folder


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """Each model, since that takes longer than to animate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Animator, "load", functools.cache(Animator.load))
        yield


@pytest.fixture
def run(inputs, tmp_path):
    """Runs the command on those inputs, with other paths or options by name; returns (exit status, output's path)."""

    def run(out="result.mp4", options=(), **paths):
        named = {"checkpoint": "run", "source": "source.png", "driving": "driving.mp4"} | paths
        argv = [part for name, path in named.items() for part in (f"--{name}", str(inputs / path))]
        # Joined as text, since a path would lose the last /.
        return run_command(animate.main, [*argv, "--out", os.path.join(tmp_path, out), *options]), tmp_path / out

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
    said = r": 6 frames in [\d.]+ s \([\d.]+ frames/s after the first batch\)\n"
    assert re.fullmatch(re.escape(str(out)) + said, shown.out) and shown.err == ""
    assert os.listdir(out.parent) == [out.name]


@pytest.fixture
def written(monkeypatch):
    """What goes to the video's encoder, exact."""
    frames = []
    write = outputs.write_video

    def record(path, stream, **options):
        frames.clear()
        write(path, (frames.append(frame) or frame for frame in stream), **options)

    monkeypatch.setattr(outputs, "write_video", record)
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
        (["--multiply", "1.5"], {"multiply": 1.5}),
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
    """Source and driving frame are as sharp as their files, not as the model's 32 pixels."""
    status, out = run(options=["--view", "side-by-side"])
    assert status == 0 and frames_of(out).shape == (NUM_FRAMES, 256, 3 * 256, 3)
    sources, driving, results = np.split(np.stack(written), 3, axis=2)
    np.testing.assert_array_equal(sources[3], read_image(inputs / "source.png", size=(256, 256)))
    np.testing.assert_array_equal(driving, driving_views(inputs, 256))
    for options in (["--best-frame", "2"], ["--smooth"]):
        run(options=["--view", "side-by-side", *options])
        np.testing.assert_array_equal(np.split(np.stack(written), 3, axis=2)[1], driving)
    run()
    np.testing.assert_array_equal(results, [resize_image(frame, (256, 256)) for frame in written])


def driving_views(inputs, side):
    """The squares in the middle of the driving frames, 48 of 64 pixels wide, enlarged."""
    return [resize_image(frame[:, 8:56], (side, side)) for frame in read_frames(inputs / "driving.mp4")]


def test_frame_rates(run):
    for video, options, fps, count in [
        ("driving.mp4", ["--fps", "25"], 25, 2 * NUM_FRAMES),  # resampled
        ("frames", [], 25, NUM_FRAMES),
        ("frames", ["--fps", "10"], 10, NUM_FRAMES),  # taken at that rate
    ]:
        status, out = run(driving=video, options=options)
        assert (status, probe_video(out).fps, len(frames_of(out))) == (0, fps, count)


def test_the_sound_is_kept(run):
    status, out = run(driving="loud.mp4")
    assert status == 0 and sound_codec(out) == "aac"
    np.testing.assert_allclose(heard_beeps(out)[0], BEEPS, atol=0.005)
    for options in (["--start", "1", "--end", "2"], ["--start", "1", "--end", "2", "--fps", "10"]):
        status, out = run("result.webm", driving="loud.mp4", options=options)
        assert status == 0 and abs(len(frames_of(out)) / probe_video(out).fps - 1) < 0.01
        np.testing.assert_allclose(heard_beeps(out)[0], [beep - 1 for beep in BEEPS if beep > 1], atol=0.005)
    assert sound_codec(run(driving="loud.mp4", options=["--no-audio"])[1]) is None


def test_a_part_is_animated_from_its_first_frame(run, inputs, written):
    animator, source = Animator.load(inputs / "run"), read_image(inputs / "source.png")
    run(options=["--start", "0.16", "--end", "0.4"])
    part = list(read_frames(inputs / "driving.mp4"))[2:5]
    np.testing.assert_array_equal(written, list(animator.animate(source, part)))


def test_a_still_for_a_still(run, inputs, capsys):
    """In absolute mode: relative to itself a single frame has no motion."""
    animator = Animator.load(inputs / "run")
    status, out = run("result.png", driving="frames/0.png")
    source, still = read_image(inputs / "source.png"), read_image(inputs / "frames/0.png")
    expected = animator.animate(source, [still], mode="absolute")
    assert status == 0 and re.fullmatch(r".*result\.png: 1 frame in [\d.]+ s\n", capsys.readouterr().out)
    np.testing.assert_array_equal(read_image(out), next(expected))
    status, relative = run("relative.png", driving="frames/0.png", options=["--mode", "relative"])
    assert status == 0 and not np.array_equal(read_image(relative), read_image(out))
    status, out = run("result.mp4", driving="frames/0.png")
    assert status == 0 and len(frames_of(out)) == 1


def test_a_folder_of_frames(run, written, tmp_path):
    run(options=["--lossless"])
    for out in ("frames/", "frames"):  # made, then replaced
        assert run(out)[0] == 0
        assert len(os.listdir(tmp_path / "frames")) == NUM_FRAMES
        np.testing.assert_array_equal(frames_of(tmp_path / "frames"), written)


def test_a_folder_of_the_users_frames_is_kept(run, inputs, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    Image.fromarray(random_frames(1)[0]).save(tmp_path / "mine" / "000000.png")
    before = (tmp_path / "mine" / "000000.png").read_bytes()
    assert run("mine/")[0] == 2
    assert "pass --overwrite" in one_line_error(capsys)
    several = ["--source", str(inputs / "source.png"), str(tmp_path / "mine.jpg"), "--format", "frames"]
    Image.fromarray(random_frames(1)[0]).save(tmp_path / "mine.jpg")
    assert run(".", options=several)[0] == 2
    assert "pass --overwrite" in one_line_error(capsys)
    assert os.listdir(tmp_path / "mine") == ["000000.png"]
    assert (tmp_path / "mine" / "000000.png").read_bytes() == before and not (tmp_path / "source").exists()
    assert run("mine/", source=tmp_path / "mine" / "000000.png", options=["--overwrite"])[0] == 2
    assert "would replace the input" in one_line_error(capsys)
    assert run("mine/", options=["--overwrite"])[0] == 0
    assert len(os.listdir(tmp_path / "mine")) == NUM_FRAMES


def test_without_loss(run, written):
    for suffix in ("mp4", "webm"):
        _, out = run(f"result.{suffix}", options=["--lossless"])
        np.testing.assert_array_equal(frames_of(out), written)


@pytest.mark.parametrize("options", [["--no-label"], []], ids=str)
def test_the_file_says_that_it_is_synthetic(run, options):
    _, out = run("result.gif", options=options)
    with Image.open(out) as image:
        assert image.info.get("comment") == (None if options else outputs.LABEL.encode())


def test_several_sources(run, inputs, tmp_path, capsys):
    (tmp_path / "faces").mkdir()
    for name in ("a", "b"):
        shutil.copy(inputs / "source.png", tmp_path / "faces" / f"{name}.png")
    status, out = run("results", source=tmp_path / "faces")
    assert status == 0 and sorted(os.listdir(out)) == ["a.mp4", "b.mp4"]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(" in ")[0] for line in shown] == [f"{out}/{name}.mp4: 6 frames" for name in ("a", "b")]
    options = ["--source", str(inputs / "source.png"), str(tmp_path / "faces" / "a.png"), "--format", "frames"]
    status, out = run("results", options=options)
    assert status == 0 and sorted(os.listdir(out)) == ["a", "a.mp4", "b.mp4", "source"]
    assert len(os.listdir(out / "source")) == NUM_FRAMES
    status, out = run("stills", source=tmp_path / "faces", driving="frames/0.png")
    assert status == 0 and sorted(os.listdir(out)) == ["a.png", "b.png"]


def test_crops(run, inputs, written):
    animator = Animator.load(inputs / "run")
    source, frames = read_image(inputs / "source.png"), frames_of(inputs / "driving.mp4")
    run(options=["--crop", "4,10,30,40", "--driving-crop", "20,5,30,30"])
    expected = animator.animate(source[10:50, 0:40], list(frames[:, 5:35, 20:50]))
    np.testing.assert_array_equal(written, list(expected))


def test_paste_back(run, inputs, written):
    source = read_image(inputs / "source.png")
    run(options=["--crop", "4,10,32,32"])
    results = np.stack(written)
    status, out = run(options=["--crop", "4,10,32,32", "--paste-back"])
    assert status == 0 and frames_of(out).shape == (NUM_FRAMES, 60, 44, 3)
    pasted = np.stack(written)
    np.testing.assert_array_equal(pasted[:, 14:38, 8:32], results[:, 4:28, 4:28])
    pasted[:, 10:42, 4:36] = source[10:42, 4:36]
    np.testing.assert_array_equal(pasted, np.broadcast_to(source, pasted.shape))


def test_whole_pictures_side_by_side(run, inputs, written):
    status, _ = run(options=["--paste-back", "--view", "side-by-side"])
    row = np.stack(written)
    assert status == 0 and row.shape == (NUM_FRAMES, 60, 44 + 60 + 44, 3)
    np.testing.assert_array_equal(row[3, :, :44], read_image(inputs / "source.png"))
    np.testing.assert_array_equal(row[:, :, 44:104], driving_views(inputs, 60))
    np.testing.assert_array_equal(row[:, :8, 104:], row[:, :8, :44])  # above the square


def test_overlay(run, written):
    run()
    plain = np.stack(written)
    status, _ = run(options=["--view", "overlay"])
    drawn = np.stack(written)
    assert status == 0 and drawn.shape == (NUM_FRAMES, 256, 256, 3)
    changed = np.abs(drawn.astype(int) - [resize(frame, 256, 256) for frame in plain]).max(-1) > 0
    assert 0.005 < changed.mean() < 0.6


def test_smoothing(run, written):
    """The first frame stays, what follows moves less."""
    run()
    plain = np.stack(written).astype(float)
    assert run(options=["--smooth"])[0] == 0
    smooth = np.stack(written).astype(float)
    np.testing.assert_array_equal(smooth[0], plain[0])
    assert 0 < np.abs(np.diff(smooth, axis=0)).mean() < np.abs(np.diff(plain, axis=0)).mean()


@pytest.fixture
def piped(inputs, monkeypatch, tmp_path):
    """The frames of `driving.mp4`, on the standard input."""
    (tmp_path / "raw").write_bytes(frames_of(inputs / "driving.mp4").tobytes())
    with open(tmp_path / "raw", "rb") as file:
        monkeypatch.setattr(live, "_STANDARD_INPUT", file.fileno())
        yield


@pytest.mark.usefixtures("piped")
def test_from_pipe_to_pipe(inputs, capfdbinary):
    frames = frames_of(inputs / "driving.mp4")
    argv = ["--checkpoint", str(inputs / "run"), "--source", str(inputs / "source.png"), "--driving", "-", "--out", "-"]
    assert run_command(animate.main, [*argv, "--driving-size", "64x48"]) == 0
    shown = capfdbinary.readouterr()
    got = np.frombuffer(shown.out, np.uint8).reshape(NUM_FRAMES, SIZE, SIZE, 3)
    expected = list(Animator.load(inputs / "run", batch_size=1).animate(read_image(inputs / "source.png"), frames))
    np.testing.assert_array_equal(got, expected)
    assert re.fullmatch(rb"-: 6 frames in [\d.]+ s \([^)]+\), latency \d+ ms \(95 %: \d+ ms\)\n", shown.err)


@pytest.mark.usefixtures("piped")
def test_a_pipe_into_a_file(inputs, tmp_path, capsys):
    named = {"checkpoint": inputs / "run", "source": inputs / "source.png", "driving": "-", "driving-size": "64x48"}
    argv = [str(part) for name, value in named.items() for part in (f"--{name}", value)]
    assert run_command(animate.main, [*argv, "--out", str(tmp_path / "a.mp4"), "--fps", "10"]) == 0
    assert (probe_video(tmp_path / "a.mp4").fps, len(frames_of(tmp_path / "a.mp4"))) == (10, NUM_FRAMES)
    assert "latency" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--driving", "/dev/video97"], "cannot open the camera /dev/video97"),
        (["--driving", "-"], "give --driving-size WxH"),
        (["--driving", "-", "--driving-size", "4x4", "--best-frame", "auto"], "leave out --best-frame"),
    ],
    ids=str,
)
def test_mistakes_of_live_frames(run, capsys, options, message):
    assert run(options=options)[0] == 2
    assert message in one_line_error(capsys)


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


@pytest.mark.parametrize("error", [UserError("the disk is gone"), KeyboardInterrupt(), ValueError("a fault")])
def test_nothing_is_left_of_a_failure(run, tmp_path, monkeypatch, error):
    (tmp_path / "result.mp4").write_bytes(b"old")

    def fail_later(*arguments, **options):
        yield from random_frames(3)
        raise error

    monkeypatch.setattr(driving, "read_frames", fail_later)
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
        "a best frame, an adapted scale and multiplied motion act in relative mode only; ignored"
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
    assert "following the driving video" in shown and "animating" in shown and f"{NUM_FRAMES}/{NUM_FRAMES}" in shown


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
    assert done.stdout.startswith(f"{tmp_path}/result.mp4: 1 frame in ") and done.stderr == ""


def test_a_step_is_chosen(inputs):
    assert Animator.load(inputs / "run", step=1, batch_size=3).batch_size == 3
    with pytest.raises(UserError, match="no step 7"):
        Animator.load(inputs / "run", step=7)


def test_as_a_module():
    command = [sys.executable, "-m", "motion_transformer_jax.animate"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for option in (
        "--checkpoint",
        "--source",
        "--driving",
        "--no-adapt-scale",
        "--best-frame",
        "--view",
        "--paste-back",
    ):
        assert option in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
