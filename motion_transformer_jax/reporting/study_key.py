"""The key of a preference study: which system stood on which side. Participants do not see it."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from motion_transformer_jax.errors import UserError

FORMAT = 1  # of keys, pages and answers


@dataclasses.dataclass(frozen=True)
class Question:
    """One comparison of two systems on one video.

    Attributes:
        id: what the page and the answers call it; it says nothing.
        video: name in the dataset.
        left, right: names of the systems, by the side on which their results stood.
    """

    id: str
    video: str
    left: str
    right: str


@dataclasses.dataclass(frozen=True)
class StudyKey:
    """What a study asked.

    Attributes:
        study: the study's id, which its answers carry.
        seed: of the choice, the order and the sides.
        dataset: name of the data.
        systems: names of all systems.
        questions: in the page's order.
    """

    study: str
    seed: int
    dataset: str
    systems: list[str]
    questions: list[Question]


def key_text(key: StudyKey) -> str:
    """A key as the text of its file."""
    return json.dumps({"format": FORMAT, **dataclasses.asdict(key)}, indent=2, ensure_ascii=False) + "\n"


def read_key(path: str | os.PathLike) -> StudyKey:
    """Reads a key.

    Raises:
        UserError: there is no such file, or it is no key.
    """
    content = read_json(path, "the key that `motrans evaluate study` wrote beside its page")
    try:
        questions = [Question(**question) for question in content["questions"]]
        fields = {field.name: content[field.name] for field in dataclasses.fields(StudyKey)}
        if content["format"] == FORMAT and len({question.id for question in questions}) == len(questions) > 0:
            return StudyKey(**{**fields, "questions": questions})
    except (KeyError, TypeError):
        pass
    raise UserError(f"{path} is not the key of a study; expected what `motrans evaluate study` wrote beside its page")


def read_json(path: str | os.PathLike, expected: str) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read as one; the message tells what was expected.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}); expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); expected {expected}") from error
