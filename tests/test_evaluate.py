"""The command `evaluate`: checkpoints in, a report out, one line for every mistake."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from study_reports import write_report
from tiny_model import random_variables, tiny_config, tiny_variables

from motion_transformer_jax import evaluate
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.configs import demo
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.detection.detectors import DETECTOR_KINDS, Detectors, Embeddings, Keypoints
from motion_transformer_jax.evaluation import checkpoints
from motion_transformer_jax.reporting.results import read_results
from motion_transformer_jax.training.weights_folder import save_variables


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Checkpoints with random weights: a motion transformer `mt` and an MRAA `mraa`, and `large` of another size."""
    folder = tmp_path_factory.mktemp("runs")
    save_variables(folder / "mt", tiny_config(), tiny_variables())
    mraa, large = demo.get_config("mraa,debug"), tiny_config()
    mraa.optimizer.ema_decay = 0.0
    save_variables(folder / "mraa", mraa, random_variables(mraa))
    large.model.image_size = 64
    save_variables(folder / "large", large, tiny_variables())
    return folder


def test_detectors_are_those_that_there_are():
    assert (checkpoints.AUTO, *DETECTOR_KINDS) == evaluate.DETECTORS


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """Of both models, on three marked puppets."""
    out = tmp_path_factory.mktemp("reports") / "report"
    checkpoints = ["--checkpoint", str(runs / "mt"), str(runs / "mraa")]
    options = ["--num-videos", "3", "--grid", "2", "--detector", "puppets", "--png", "--pickles", "--no-lpips"]
    assert run_command(evaluate.main, [*checkpoints, "--out", str(out), *options]) == 0
    return out


def test_report_holds_the_figures(report):
    evaluation = read_results(report)
    assert (evaluation.dataset, evaluation.detector, evaluation.image_size) == ("puppets", "puppets", 32)
    assert [system.name for system in evaluation.systems] == ["mt", "mraa"]
    for system in evaluation.systems:
        assert {"l1", "psnr", "ssim", "mkr"} <= set(system.figures)
        assert system.figures["l1"].count == sum(video.frames for video in system.videos) == 3 * 16
        mean = np.mean([video.metrics["l1"] for video in system.videos])
        assert system.figures["l1"].value == pytest.approx(mean)
        assert system.regression
        assert set(system.animation) == {"relative", "absolute"}
    assert "attention" in " ".join(evaluation.systems[0].pictures)
    assert "attention" not in " ".join(evaluation.systems[1].pictures)


def test_report_holds_what_it_names(report):
    assert {"metrics.json", "videos.csv", "index.html", "mt", "mraa"} == {path.name for path in report.iterdir()}
    for system in read_results(report).systems:
        paths = [*(video.clip for video in system.videos), *system.pictures.values()]
        assert all((report / path).stat().st_size for path in paths)
        assert (report / system.name / "animation-relative.mp4").is_file()


def test_written_predictions_have_the_measured_error(report):
    """The film strip gives the table's L1 but for rounding; the clip shows source, truth and result."""
    system = read_results(report).systems[0]
    video = system.videos[1]
    strip = np.asarray(Image.open(report / "mt" / "png" / f"{video.name}.png"), np.float32) / 255
    predictions = np.stack(np.split(strip, video.frames, axis=1))
    panels = np.stack(list(read_frames(report / video.clip)))
    source, driving, result, _ = np.split(panels.astype(np.float32) / 255, 4, axis=2)
    assert np.abs(predictions - driving).mean() == pytest.approx(video.metrics["l1"], rel=0.1)
    assert np.abs(result - predictions).mean() < 0.05
    assert np.abs(source - source[:1]).mean() < 0.02


def test_pickles_give_the_measured_distance(report, capsys):
    pickles = [str(report / "mt" / "pickles" / name) for name in ("truth-keypoints.pkl", "keypoints.pkl")]
    assert run_command(evaluate.main, ["pickles", *pickles]) == 0
    measured = read_results(report).systems[0].figures
    figures = {name.upper(): measured[name] for name in ("akd", "mkr") if name in measured}
    shown = [f"{name} {figure.value:.6g} ({figure.count} frames)" for name, figure in figures.items()]
    assert capsys.readouterr().out.splitlines() == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "mt", "large"], "large makes images of 64 px but mt of 32 px"),
        (["--checkpoint", "mt", "mt"], "two systems are named 'mt'; give each a name of its own with --name"),
        (["--checkpoint", "mt", "--name", "a", "b"], "2 names for 1 checkpoints"),
        (["--checkpoint", "mt", "--name", "../a"], "cannot name a system"),
        (["--checkpoint", "mt", "--name", "index.html"], "as a file of the report is"),
        (["--checkpoint", "nothing"], "nothing"),
        (["--checkpoint", "mt", "--data", "nowhere"], "there is no folder"),
        (["--checkpoint", "mt", "--step", "7"], "no step 7"),
        (["--checkpoint", "mt", "--step", "x"], "expected best or a step's number"),
        (["--checkpoint", "mt", "--num-videos", "0"], "--num-videos is 0; expected 1 or more"),
        (["--checkpoint", "mt", "--pairs", "dataset"], "puppets holds no pairs"),
        (["--checkpoint", "mt", "--detector", "bodies", "--pose-onnx", "none.onnx"], "none.onnx"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(runs, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(runs)
    assert run_command(evaluate.main, [*arguments, "--out", str(tmp_path / "report"), "--no-lpips"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert not list(tmp_path.iterdir())


def test_other_folders_are_not_replaced(runs, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert run_command(evaluate.main, ["--checkpoint", str(runs / "mt"), "--out", str(tmp_path)]) == 2
    assert "is not empty and holds no earlier report" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


class _Blind:
    name = "blind"

    def detect(self, frames):
        return Keypoints(np.zeros((len(frames), 3, 2), np.float32), np.zeros((len(frames), 3), bool))

    def embed(self, frames):
        return Embeddings(np.zeros((len(frames), 4), np.float32), np.zeros(len(frames), bool))


def test_nothing_found_and_names_that_no_file_can_have(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "create_detectors", lambda *_, **__: Detectors(_Blind(), _Blind()))
    names = [os.fsencode("x" * 250), b"\xff"]
    (tmp_path / "data" / "test").mkdir(parents=True)
    for name in names:
        write_video(tmp_path / "clip.mp4", np.zeros((2, 32, 32, 3), np.uint8), fps=25)
        os.rename(tmp_path / "clip.mp4", os.fsencode(tmp_path / "data" / "test") + b"/" + name + b".mp4")
    out, options = tmp_path / "report", ["--detector", "faces", "--png", "--pickles", "--num-videos", "2", "--no-lpips"]
    arguments = ["--checkpoint", str(runs / "mt"), "--data", str(tmp_path / "data"), "--out", str(out), "--grid", "0"]
    assert run_command(evaluate.main, [*arguments, *options]) == 0
    evaluation = read_results(out)
    assert "no AKD, MKR, AED: the detector 'faces' found nothing to compare" in evaluation.notices
    assert {video.name for video in evaluation.systems[0].videos} == {"x" * 250 + ".mp4", r"\udcff.mp4"}
    assert all((out / video.clip).is_file() for video in evaluation.systems[0].videos)


def test_one_video_of_puppets_without_markers_has_no_grid_and_no_akd(runs, tmp_path):
    options = ["--num-videos", "1", "--no-lpips"]
    assert run_command(evaluate.main, ["--checkpoint", str(runs / "mt"), "--out", str(tmp_path / "r"), *options]) == 0
    evaluation = read_results(tmp_path / "r")
    assert evaluation.detector == "none"
    assert any("--detector puppets" in notice for notice in evaluation.notices)
    assert any("no cross-identity animation" in notice for notice in evaluation.notices)
    assert "akd" not in evaluation.systems[0].figures


def test_a_study_and_its_tally(tmp_path, capsys):
    report, page, tally = write_report(tmp_path / "report", videos=1), tmp_path / "ask.html", tmp_path / "tally.json"
    assert run_command(evaluate.main, ["study", str(report), "--out", str(page), "--seed", "1"]) == 0
    key = json.loads((tmp_path / "ask_key.json").read_text())
    assert page.is_file() and len(key["questions"]) == 3
    shown = capsys.readouterr().out
    assert "3 questions about motion transformer, fomm <b>, mraa" in shown and "ask_key.json: who is who" in shown

    answers = [{"question": question["id"], "choice": "left"} for question in key["questions"]]
    content = {"format": 1, "study": key["study"], "participant": "p", "answers": answers}
    (tmp_path / "answers.json").write_text(json.dumps(content))
    files = [str(tmp_path / name) for name in ("ask_key.json", "answers.json")]
    assert run_command(evaluate.main, ["study", "tally", *files, "--out", str(tally)]) == 0
    assert "100.0 %" in capsys.readouterr().out
    assert len(json.loads(tally.read_text())["preferences"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.html"], "required: REPORT"),
        (["nowhere", "--out", "a.html"], "nowhere holds no metrics.json"),
        (["nowhere", "--out", "a.html", "--questions", "0"], "--questions is 0; expected 1 or more"),
        (["nowhere", "--out", "a.html", "--seed", "-1"], "--seed is -1; expected 0 or more"),
        (["tally", "nowhere.json"], "required: ANSWERS"),
        (["tally", "nowhere.json", "answers.json", "--out", "tally.json"], "cannot read nowhere.json"),
    ],
)
def test_mistakes_of_a_study_are_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run_command(evaluate.main, ["study", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not list(tmp_path.iterdir())
