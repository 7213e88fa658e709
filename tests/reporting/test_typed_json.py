"""JSON is read as the dataclass that it should be, or refused with what is wrong."""

import dataclasses

import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.typed_json import read_json, typed


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    size: float = 1.0


@dataclasses.dataclass(frozen=True)
class Whole:
    count: int
    parts: list[Part]
    by_name: dict[str, Part] = dataclasses.field(default_factory=dict)
    note: str | None = None


def test_what_it_should_be():
    content = {"count": 2, "parts": [{"name": "a", "size": 3}, {"name": "b"}], "by_name": {"c": {"name": "c"}}}
    assert typed(Whole, content) == Whole(2, [Part("a", 3), Part("b")], {"c": Part("c")})
    assert typed(Whole, {"count": 0, "parts": [], "note": None}) == Whole(0, [])
    assert typed(Whole, {"count": 0, "parts": [], "note": "x"}).note == "x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "2"}, "count: '2' where int is due"),
        ({"count": 2.0}, "count: '2.0' where int is due"),
        ({"count": True}, "count: 'True' where int is due"),
        ({"count": None}, "count: 'None' where int is due"),
        ({"parts": {}}, r"parts: '\{\}' where list is due"),
        ({"parts": [3]}, "parts: '3' where Part is due"),
        ({"parts": [{"name": "a", "size": "large"}]}, "parts: size: 'large' where float is due"),
        ({"parts": [{}]}, "missing 1 required positional argument: 'name'"),
        ({"by_name": {"a": 1}}, "by_name: '1' where Part is due"),
        ({"note": 1}, "note: '1' where str is due"),
        ({"more": 1}, "unknown field 'more' of Whole"),
    ],
)
def test_what_it_should_not_be(change, message):
    with pytest.raises(TypeError, match=message):
        typed(Whole, {"count": 1, "parts": [], **change})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_no_json(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not JSON \(.*\); expected a report") as error:
        read_json(tmp_path / "a.json", "a report")
    assert len(str(error.value)) < 400


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(UserError, match=r"cannot read .*; expected a report"):
            read_json(path, "a report")
