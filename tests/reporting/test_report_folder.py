"""What may be in a report's folder, and what a new report may replace."""

import pytest
from study_reports import write_report

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.report_folder import check_names, check_replaceable, legible, stem


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([""], "cannot name a system"),
        ([".."], "cannot name a system"),
        (["a/b"], "cannot name a system"),
        (["x" * 201], "cannot name a system"),
        (["Index.html"], "as a file of the report is"),
        (["metrics.json"], "as a file of the report is"),
        (["a", "b", "a"], "two systems are named 'a'"),
    ],
)
def test_names_that_cannot_be_folders_are_refused(names, message):
    with pytest.raises(UserError, match=rf"{message}.*--name"):
        check_names(names)


def test_other_names_are_taken():
    check_names(["motion transformer", "fomm <b>", "ä#0", "index", "x" * 200])


def test_reports_are_replaced_but_nothing_else(tmp_path):
    check_replaceable(tmp_path / "new")
    check_replaceable(tmp_path)
    report = write_report(tmp_path / "report", systems=["mraa"], videos=0)
    (report / "0").rename(report / "mraa")
    (report / "index.html").touch()
    (report / ".DS_Store").touch()
    check_replaceable(report)
    (report / "study.html").touch()
    with pytest.raises(UserError, match=r"and 'study\.html', which is not of it and would be lost"):
        check_replaceable(report)


def test_metrics_of_others_are_no_report(tmp_path):
    (tmp_path / "metrics.json").write_text('{"accuracy": 0.9}')
    with pytest.raises(UserError, match="holds no earlier report"):
        check_replaceable(tmp_path)


def test_stems_are_names_as_far_as_they_can_be():
    assert stem("with space#1.mp4") == "with space#1.mp4"
    long = [stem("ä" * 120 + end) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(name.encode()) <= 200 for name in long)
    assert stem(b"\xff.mp4".decode(errors="surrogateescape")) == legible("\udcff.mp4") == r"\udcff.mp4"


def test_the_folder_one_stands_in_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="the one you stand in"):
        check_replaceable(".")
