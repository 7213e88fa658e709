"""metrics.json keeps what was found, and says clearly when it is not ours."""

import dataclasses
import json

import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.results import (
    Evaluation,
    Figure,
    SystemResult,
    VideoResult,
    read_results,
    write_results,
)


def evaluation(**metrics) -> Evaluation:
    system = SystemResult(
        name="fomm",
        estimator="keypoint_detector",
        checkpoint="runs/fomm",
        step=100,
        seed=0,
        parameters=1000,
        frames_per_second=12.5,
        figures={"l1": Figure(0.05, 20, "frames")},
        videos=[VideoResult("ä#0", 20, {"l1": 0.05, **metrics}, "fomm/videos/ä#0.mp4")],
        regression={"error_px": Figure(2.0, 40, "joints")},
        animation={"relative": {"aed": Figure(0.1, 3, "pairs")}},
        pictures={"attention": "fomm/pictures/attention.png"},
    )
    return Evaluation("puppets", "test", 64, "puppets", 0, [system], ["no LPIPS"])


def test_what_is_written_is_read(tmp_path):
    write_results(tmp_path, evaluation())
    assert read_results(tmp_path) == evaluation()


def test_figures_that_are_not_finite_are_left_out(tmp_path):
    path = write_results(tmp_path, evaluation(psnr=float("inf")))
    assert json.loads(path.read_text("utf-8"))["systems"][0]["videos"][0]["metrics"]["psnr"] is None
    assert read_results(tmp_path) == evaluation()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 99}', '{"format": 1, "systems": [{}]}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match="run the evaluation again"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"clip": "../../home/secret.mp4"},
        {"clip": "/etc/passwd"},
        {"clip": "fomm/../../secret.mp4"},
        {"clip": ""},
        {"picture": "/home/secret.png"},
        {"picture": "../secret.png"},
        {"system": "../thesis"},
        {"system": "/"},
        {"system": "."},
    ],
    ids=str,
)
def test_files_outside_of_the_report_are_not_its_own(tmp_path, change):
    """They would be copied into pages that are sent to others."""
    (system,) = evaluation().systems
    if "clip" in change:
        system = dataclasses.replace(system, videos=[dataclasses.replace(system.videos[0], clip=change["clip"])])
    if "picture" in change:
        system = dataclasses.replace(system, pictures={"attention": change["picture"]})
    if "system" in change:
        system = dataclasses.replace(system, name=change["system"])
    write_results(tmp_path, dataclasses.replace(evaluation(), systems=[system]))
    with pytest.raises(UserError, match=r"not inside its folder|no folder's name"):
        read_results(tmp_path)


def test_missing_report_is_refused(tmp_path):
    with pytest.raises(UserError, match="motrans evaluate"):
        read_results(tmp_path)
