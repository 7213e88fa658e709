"""The key of a preference study: which system stood on which side. Participants do not see it."""

import dataclasses
import json
import os
from pathlib import Path

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.typed_json import read_json, typed

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
    expected = "the key that `motrans evaluate study` wrote beside its page"
    content = read_json(Path(path), expected)
    try:
        if isinstance(content, dict) and content.pop("format", None) == FORMAT:
            key = typed(StudyKey, content)
            if _is_sound(key):
                return key
    except TypeError:
        pass
    raise UserError(f"{path} is not the key of a study; expected {expected}")


def _is_sound(key: StudyKey) -> bool:
    ids = [question.id for question in key.questions]
    sides = [(question.left, question.right) for question in key.questions]
    known = all(left != right and {left, right} <= set(key.systems) for left, right in sides)
    return len(set(ids)) == len(ids) > 0 and known
