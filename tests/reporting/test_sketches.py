"""Geometry of the small drawings."""

import re

import pytest

from motion_transformer_jax.reporting.comparison import Comparison
from motion_transformer_jax.reporting.results import SystemResult, VideoResult
from motion_transformer_jax.reporting.sketches import (
    INTERVAL_WIDTH,
    SPREAD_WIDTH,
    sketch_intervals,
    sketch_spread,
)


def comparison(metric, difference, low, high) -> Comparison:
    return Comparison(metric, "b", "a", difference, low, high, 5)


def test_right_of_the_middle_is_better_in_every_metric():
    middle = INTERVAL_WIDTH / 2
    less, more = sketch_intervals([comparison("l1", -0.2, -0.3, -0.1), comparison("psnr", 2.0, 1.0, 3.0)])
    assert less == more  # the same shares of their metric's reach
    assert middle < less.left < less.centre < less.right < INTERVAL_WIDTH
    assert less.centre - middle == pytest.approx((less.right - middle) * 2 / 3, abs=0.1)
    (worse,) = sketch_intervals([comparison("l1", 0.2, 0.1, 0.3)])
    assert 0 < worse.left < worse.centre < worse.right < middle


def test_systems_share_the_scale_of_a_metric():
    small, large = sketch_intervals([comparison("l1", -0.1, -0.1, -0.1), comparison("l1", -0.4, -0.5, -0.3)])
    assert small.centre - INTERVAL_WIDTH / 2 == pytest.approx((large.right - INTERVAL_WIDTH / 2) / 5, abs=0.1)


def test_no_difference_and_no_interval():
    nothing, single = sketch_intervals([comparison("l1", 0.0, 0.0, 0.0), comparison("aed", 1.0, None, None)])
    assert nothing.left == nothing.centre == nothing.right == INTERVAL_WIDTH / 2
    assert (single.left, single.right) == (None, None)


def system(name, *values) -> SystemResult:
    videos = [VideoResult(f"v{i}", 1, {"l1": value}) for i, value in enumerate(values)]
    return SystemResult(name, "motion_transformer", "runs", 1, 0, 1, 1.0, {}, videos)


def test_spread_has_a_dot_for_each_video_on_one_axis():
    sketch = sketch_spread("l1", [system("a", 0.1, 0.1, 0.3), system("b", 0.2, 0.5, float("nan"))])
    assert (sketch.low, sketch.high) == ("0.1000", "0.5000")
    dots = [[tuple(map(float, dot)) for dot in re.findall(r"M([\d.]+) ([\d.]+)h0", row.path)] for row in sketch.rows]
    assert [len(row) for row in dots] == [3, 2]
    places = [x for row in dots for x, _ in row]
    assert (min(places), max(places)) == (8, SPREAD_WIDTH - 8)
    assert places[2] == SPREAD_WIDTH / 2  # 0.3
    assert len(set(dots[0])) == 3  # equal videos do not hide each other
    assert [row.mean_text for row in sketch.rows] == ["0.1667", "0.3500"]


def test_no_spread_of_a_single_video():
    assert sketch_spread("l1", [system("a", 0.1), system("b", 0.2)]) is None
