"""Damaged lists, tables, configs and reports into their readers: a result that makes sense or a UserError."""

import csv
import io
import json

import pytest
from damage import LENGTHS, campaign, changed, damaged, encoded
from hypothesis import strategies as st
from study_reports import write_report
from tiny_model import tiny_config

from motion_transformer_jax.data.corpus import read_list, read_pair_list
from motion_transformer_jax.reporting.preferences import tally_answers
from motion_transformer_jax.reporting.results import read_results
from motion_transformer_jax.reporting.study import write_study
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.saved_config import load_config, save_config

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of long examples


LIST = "id1#0.mp4/00000.png\nid1#0.mp4/00001.png\n\nid2#ä b\n".encode()
PAIRS = b'distance,source,driving\n1.5,"b, c",a\n2,a.mp4,b\n'


@LENGTHS
def test_lists(tmp_path, examples):
    path = tmp_path / "list.txt"

    def check(content):
        path.write_bytes(content)
        for video, frames in read_list(path).items():
            for name in (video, *(frames or ())):
                assert name and "/" not in name and name not in (".", "..")
                (tmp_path / name).exists()  # a name that the system takes

    campaign(damaged(LIST) | st.binary(max_size=60) | st.text(max_size=60).map(encoded), check, examples)


@LENGTHS
def test_pair_tables(tmp_path, examples):
    path, names = tmp_path / "pairs.csv", ["a.mp4", "b.gif", "b, c.mp4"]

    def check(content):
        path.write_bytes(content)
        pairs = read_pair_list(path, names)
        assert pairs and {name for pair in pairs for name in pair} <= set(names)

    cells = st.text(max_size=5) | st.sampled_from(["source", "driving", *names])
    rows = st.lists(st.lists(cells, max_size=4), max_size=4)
    campaign(damaged(PAIRS) | st.binary(max_size=60) | rows.map(_as_csv), check, examples)


def _as_csv(rows: list[list[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return encoded(file.getvalue())


@LENGTHS
def test_config_files(tmp_path, examples):
    save_config(tmp_path, tiny_config())
    path = tmp_path / "config.json"
    whole = path.read_bytes()

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else encoded(content))
        validate_config(load_config(tmp_path), need_data=False)

    campaign(damaged(whole) | changed(json.loads(whole)), check, examples)


@LENGTHS
@pytest.mark.parametrize("name", ["study_key.json", "answers.json", "report/metrics.json"])
def test_reports_and_studies(tmp_path, examples, name):
    report = write_report(tmp_path / "report", videos=1)
    key = write_study([report], tmp_path / "study.html", questions=3)
    answers = [{"question": question.id, "choice": "left"} for question in key.questions]
    content = {"format": 1, "study": key.study, "participant": "p", "answers": answers}
    (tmp_path / "answers.json").write_text(json.dumps(content))
    whole = (tmp_path / name).read_bytes()

    def check(content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else encoded(content))
        if name == "report/metrics.json":
            read_results(report)
            write_study([report], tmp_path / "study.html", questions=1)
        else:
            preferences = tally_answers(tmp_path / "study_key.json", [tmp_path / "answers.json"])
            assert all(0 <= preference.share <= 1 for preference in preferences)

    campaign(damaged(whole) | changed(json.loads(whole)), check, examples)
