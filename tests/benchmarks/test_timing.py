"""Functions are called in turn, and their times are those of the clock."""

import itertools

import pytest

from motion_transformer_jax.benchmarks import timing


def test_calls_take_turns_after_the_warm_up():
    calls = []
    timing.time_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert "".join(calls) == "aabb" + "ab" * 3


def test_times_are_those_of_the_clock(monkeypatch):
    clock = itertools.accumulate([0.0, 3.0, 10.0, 1.0, 10.0, 2.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    times = timing.time_in_turn({"a": lambda: None}, repeats=3)["a"]
    assert (times.median, times.lowest, times.highest) == pytest.approx((2.0, 1.0, 3.0))
