"""Counting a study's answers."""

import json
import logging
import math

import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.preferences import (
    LEAST_PARTICIPANTS,
    preference_table,
    tally_answers,
    write_preferences,
)
from motion_transformer_jax.reporting.study_key import Question, StudyKey, key_text

KEY = StudyKey(
    study="abc",
    seed=0,
    dataset="flat",
    systems=["ours", "fomm", "mraa"],
    questions=[
        Question("q0", "v0", "ours", "fomm"),
        Question("q1", "v1", "fomm", "ours"),
        Question("q2", "v0", "mraa", "ours"),
        Question("q3", "v1", "fomm", "mraa"),
    ],
)
# Always ours; between the others the left one.
CHOICES = {"q0": "left", "q1": "right", "q2": "right", "q3": "left"}


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "study_key.json"
    path.write_text(key_text(KEY))
    return path


@pytest.fixture
def answer(tmp_path):
    """Writes a participant's answers."""

    def write(name, choices, *, of=None, **fields):
        path = tmp_path / f"{name}.json"
        answers = [{"question": q, "choice": choice, "seconds": 1.5} for q, choice in choices.items()]
        content = {"format": 1, "study": "abc", "seed": 0, "participant": of or name, "finished": True}
        path.write_text(json.dumps({**content, "answers": answers, **fields}))
        return path

    return write


def wilson(share, count):
    z = 1.959963984540054
    center = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return center - half, center + half


def test_sides_are_turned_into_systems(key, answer):
    ours_fomm, ours_mraa, fomm_mraa = tally_answers(key, [answer("p", CHOICES)])
    assert (ours_fomm.first, ours_fomm.second) == ("ours", "fomm")
    assert (ours_fomm.first_preferred, ours_fomm.second_preferred, ours_fomm.participants) == (2, 0, 1)
    assert (ours_mraa.first, ours_mraa.second, ours_mraa.share) == ("ours", "mraa", 1.0)
    assert (fomm_mraa.first_preferred, fomm_mraa.second_preferred) == (1, 0)


def test_interval_and_sign_test_of_a_hand_computed_case(key, answer):
    files = [answer(f"p{i}", CHOICES) for i in range(4)]
    files.append(answer("p4", {"q0": "right", "q1": "right"}))  # stopped early
    found = tally_answers(key, files)[0]
    assert (found.first_preferred, found.second_preferred, found.participants, found.share) == (9, 1, 5, 0.9)
    assert found.interval == pytest.approx(wilson(0.9, 10), abs=1e-9)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)


def test_people_who_answer_alike_are_less_sure_than_their_answers(key, answer):
    """Half of the people always prefer ours, half never do: whole people are resampled, not answers."""
    never = {"q0": "right", "q1": "left"}
    files = [answer(f"p{i}", CHOICES if i % 2 else never) for i in range(10)]
    found = tally_answers(key, files)[0]
    assert found.share == 0.5 and found.p_value == 1
    low, high = found.participants_interval
    # Ten people, 0 or 1 each: a binomial of 10, whose 2.5 % quantile is 0.2.
    assert (low, high) == (pytest.approx(0.2), pytest.approx(0.8))
    assert low < found.interval[0] and high > found.interval[1]
    few = tally_answers(key, files[: LEAST_PARTICIPANTS - 1])[0]
    assert few.participants_interval is None


def test_a_participant_counts_once_with_the_fullest_file(key, answer, caplog):
    early = answer("early", {"q0": "right"}, of="p", finished=False)
    files = [answer("late", CHOICES, of="p"), early, answer("q", CHOICES)]
    with caplog.at_level(logging.WARNING):
        found = tally_answers(key, files)[0]
    assert (found.first_preferred, found.second_preferred, found.participants) == (4, 0, 2)
    assert "early.json" in caplog.text and "counted once" in caplog.text
    assert tally_answers(key, [early, files[0]]) == tally_answers(key, [files[0], early])


def test_table_and_file(key, answer, tmp_path):
    preferences = tally_answers(key, [answer(f"p{i}", CHOICES) for i in range(LEAST_PARTICIPANTS)])
    lines = preference_table(preferences).splitlines()
    assert lines[1].split()[:5] == ["ours", "fomm", "10:0", "100.0", "%"] and len(lines) == 5
    write_preferences(tmp_path / "out.json", preferences)
    written = json.loads((tmp_path / "out.json").read_text())["preferences"]
    assert written[1]["second"] == "mraa" and written[1]["participants_interval"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("choices", "fields", "message"),
    [
        (CHOICES, {"study": "xyz"}, "answers another study"),
        (CHOICES, {"answers": 3}, "holds no answers"),
        (CHOICES, {"participant": None}, "holds no answers"),
        (CHOICES, {"answers": [["q0", "left"]]}, "holds no answers"),
        ({"q0": "both"}, {}, "holds no answers"),
        ({"q9": "left"}, {}, "a question q9 that the key lacks"),
        (CHOICES, {"answers": 2 * [{"question": "q0", "choice": "left"}]}, "a question twice"),
        ({}, {}, "there are no answers"),
    ],
)
def test_bad_answers(key, answer, choices, fields, message):
    with pytest.raises(UserError, match=message) as error:
        tally_answers(key, [answer("p", choices, **fields)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"text"', "{}", '{"format": 1}', "[" * 100_000])
def test_files_of_another_kind(key, answer, tmp_path, content):
    path = tmp_path / "strange.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"strange\.json"):
        tally_answers(key, [path])
    with pytest.raises(UserError, match=r"strange\.json"):
        tally_answers(path, [answer("p", CHOICES)])
