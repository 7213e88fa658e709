"""Damaged files and JSON, and the campaign that counts what readers make of them."""

import json
import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motion_transformer_jax.errors import UserError

LONG = (pytest.mark.faults, pytest.mark.timeout(1800))
# A short form of each campaign runs with the other tests, always the same; `make faults` runs the long one, each time
# with other damage.
LENGTHS = pytest.mark.parametrize("examples", [pytest.param(25, id="short"), pytest.param(1000, id="long", marks=LONG)])
MOST_MEMORY = 512 * 1024  # KiB that a campaign may add to the process's peak


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """The bytes with some changed, cut off, left out, inserted or repeated."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 64, 1000]))
        change = draw(st.sampled_from(["set", "set", "set", "number", "cut", "drop", "insert", "repeat"]))
        if change == "set":
            content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == "number":  # lengths and sizes
            value = draw(st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1]))
            width = draw(st.sampled_from([w for w in (1, 2, 4, 8) if value < 256**w]))
            content[at : at + width] = value.to_bytes(width, draw(st.sampled_from(["little", "big"])))
        elif change == "cut":
            del content[at:]
        elif change == "drop":
            del content[at : at + length]
        elif change == "insert":
            content[at:at] = draw(st.binary(max_size=8))
        else:
            content[at:at] = content[at : at + length]
    return bytes(content)


ODD_VALUES = st.one_of(
    st.booleans(),
    st.none(),
    st.floats(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2**31, 2**63, 10**30, 1e308]),
    st.sampled_from(["", "..", "../x", "/etc/passwd", "a\0b", "\ud800", "NaN", "x" * 999]),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.text(max_size=2), max_size=2), max_size=3),
)


def encoded(text: str) -> bytes:
    """UTF-8, of half characters too, which JSON can hold."""
    return text.encode("utf-8", "surrogatepass")


@st.composite
def changed(draw, whole):
    """A JSON value in which some places hold something else, nothing, or more."""
    content = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        content = _changed_once(draw, content)
    return json.dumps(content)


def _changed_once(draw, value):
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 9)) == 0:
        return draw(ODD_VALUES)
    key = draw(st.sampled_from(keys))
    change = draw(st.sampled_from(["inside", "inside", "inside", "drop", "add"]))
    if change == "inside":
        value[key] = _changed_once(draw, value[key])
    elif change == "drop":
        del value[key]
    elif isinstance(value, dict):
        value[draw(st.text(max_size=5))] = draw(ODD_VALUES)
    else:
        value.append(draw(st.just(value[key]) | ODD_VALUES))
    return value


def campaign(strategy, check, examples: int) -> None:
    """Runs a check on many examples; it may raise UserErrors of one line, and must not grow."""
    seen = {"fine": 0, "refused": 0}

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 100,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(strategy)
    def run(example):
        try:
            check(example)
            seen["fine"] += 1
        except UserError as error:
            assert str(error).strip() and len(str(error)) < 5000
            seen["refused"] += 1

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    assert seen["fine"] + seen["refused"] >= examples // 2
    print(f"{seen['fine']} fine, {seen['refused']} refused")


def emptied(path, rng):
    path.write_bytes(b"")


def truncated(path, rng):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def bit_flipped(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def removed(path, rng):
    path.unlink()


FILE_DAMAGES = [emptied, truncated, bit_flipped, removed]
