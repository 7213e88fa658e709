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
    """Checkpoints with random weights: a motion transformer `mt` and an MRAA `mraa`."""
    folder = tmp_path_factory.mktemp("runs")
    save_variables(folder / "mt", tiny_config(), tiny_variables())
    mraa = demo.get_config("mraa,debug")
    mraa.optimizer.ema_decay = 0.0
    save_variables(folder / "mraa", mraa, random_variables(mraa))
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
