"""What a preference study found: shares of answers, their uncertainty, and tests.

Answers of one person are not independent, nor are those to one video. Wilson's interval and the sign test treat each
answer as independent, so with few people who answer much they are too sure. With enough participants, an interval
from resampling them (a cluster bootstrap) stands beside: it holds for people like these, on these videos.
"""

import collections
import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.study_key import FORMAT, StudyKey, read_key
from motion_transformer_jax.reporting.typed_json import read_json

logger = logging.getLogger(__name__)

LEAST_PARTICIPANTS = 5  # to resample them
CONFIDENCE = 0.95
_RESAMPLES = 10_000
_EXPECTED = "a file that the study's page downloads"


@dataclasses.dataclass(frozen=True)
class Preference:
    """Answers to all questions between two systems.

    Attributes:
        first, second: names of the systems.
        first_preferred, second_preferred: numbers of answers.
        participants: who gave them.
        share: of the answers that prefer the first.
        interval: Wilson's 95 % interval of the share, answers taken as independent.
        p_value: two-sided sign test against a share of one half, answers taken as independent.
        participants_interval: 95 % interval from resampling participants; None for fewer than LEAST_PARTICIPANTS.
    """

    first: str
    second: str
    first_preferred: int
    second_preferred: int
    participants: int
    share: float
    interval: tuple[float, float]
    p_value: float
    participants_interval: tuple[float, float] | None


def tally_answers(key: str | os.PathLike, answers: Sequence[str | os.PathLike]) -> list[Preference]:
    """Counts answers; a study that was not finished counts for the answers it has.

    Several files of one participant count once: the one with the most answers.

    Args:
      key: the study's key.
      answers: files that participants downloaded.

    Returns:
      A Preference for every two systems with answers, in the key's order.

    Raises:
      UserError: a file that is not of its kind, answers of another study, or to questions that it has not; no answers.
    """
    study = read_key(key)
    questions = {question.id: question for question in study.questions}
    # Pair of systems -> participant -> answers for the first and for the second.
    votes = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for participant, choices in _read_participants(study, answers).items():
        for question, side in choices.items():
            preferred = getattr(questions[question], side)
            pair = tuple(sorted((questions[question].left, questions[question].right), key=study.systems.index))
            votes[pair][participant][pair.index(preferred)] += 1
    if not votes:
        raise UserError(f"there are no answers in {', '.join(map(str, answers))}; expected at least one")
    order = sorted(votes, key=lambda pair: [study.systems.index(name) for name in pair])
    return [_preference(pair, list(votes[pair].values())) for pair in order]


def _preference(pair: tuple[str, str], votes: list[list[int]]) -> Preference:
    first, second = (int(total) for total in np.sum(votes, axis=0))
    test = binomtest(first, first + second)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return Preference(
        *pair,
        first_preferred=first,
        second_preferred=second,
        participants=len(votes),
        share=first / (first + second),
        interval=(float(interval.low), float(interval.high)),
        p_value=float(test.pvalue),
        participants_interval=_participants_interval(np.array(votes)) if len(votes) >= LEAST_PARTICIPANTS else None,
    )


def _participants_interval(votes: np.ndarray) -> tuple[float, float]:
    """Percentile interval of the share, [participants, 2] answers resampled by whole participants."""
    drawn = np.random.default_rng(0).integers(len(votes), size=(_RESAMPLES, len(votes)))
    totals = votes[drawn].sum(axis=1)
    low, high = np.quantile(totals[:, 0] / totals.sum(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _read_participants(study: StudyKey, paths: Sequence[str | os.PathLike]) -> dict[str, dict[str, str]]:
    """Participants' choices, question -> side; of several files the fullest."""
    participants: dict[str, dict[str, str]] = {}
    for path in paths:
        participant, choices = _read_answers(study, path)
        if participant in participants:
            logger.warning("%s is of a participant who is there already; counted once", path)
        if len(choices) >= len(participants.get(participant, {})):
            participants[participant] = choices
    return participants


def _read_answers(study: StudyKey, path: str | os.PathLike) -> tuple[str, dict[str, str]]:
    content = read_json(Path(path), _EXPECTED)
    try:
        if content["format"] != FORMAT or content["study"] != study.study:
            raise UserError(f"{path} answers another study ({content['study']}); expected {study.study}, the key's")
        participant = content["participant"]
        choices = [(answer["question"], answer["choice"]) for answer in content["answers"]]
        if not isinstance(participant, str) or any(choice not in ("left", "right") for _, choice in choices):
            raise TypeError
        unknown = {question for question, _ in choices} - {question.id for question in study.questions}
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path} holds no answers; expected {_EXPECTED}") from None
    if unknown:
        raise UserError(
            f"{path} answers a question {min(map(str, unknown))} that the key lacks; was it changed by hand?"
        )
    if len(dict(choices)) < len(choices):
        raise UserError(f"{path} answers a question twice; was it changed by hand?")
    return participant, dict(choices)


def preference_table(preferences: Sequence[Preference]) -> str:
    """A table to print, a line a pair."""
    rows = [("preferred", "over", "answers", "share", "95 % interval", "by participants", "sign test p", "people")]
    for p in preferences:
        people = "-" if p.participants_interval is None else _interval(p.participants_interval)
        counts, p_value = f"{p.first_preferred}:{p.second_preferred}", f"{p.p_value:.3g}"
        rows.append(
            (
                p.first,
                p.second,
                counts,
                f"{100 * p.share:.1f} %",
                _interval(p.interval),
                people,
                p_value,
                f"{p.participants}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [*lines, "intervals and test take each answer as independent, but for the interval by participants"]
    )


def _interval(interval: tuple[float, float]) -> str:
    return " to ".join(f"{100 * end:.1f}" for end in interval)


def write_preferences(path: str | os.PathLike, preferences: Sequence[Preference]) -> None:
    """Writes preferences as JSON, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    content = {"confidence": CONFIDENCE, "preferences": [dataclasses.asdict(p) for p in preferences]}
    with atomic_path(path) as temporary, system_errors(Path(path)):
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
