"""Paired differences: by hand, and an interval that holds the truth about as often as it says."""

import math

import numpy as np
import pytest

from motion_transformer_jax.reporting.comparison import Comparison, compare, mean_interval
from motion_transformer_jax.reporting.results import Figure, SystemResult, VideoResult


def system(name, metric="l1", **values) -> SystemResult:
    videos = [VideoResult(video, 10, {} if value is None else {metric: value}) for video, value in values.items()]
    return SystemResult(name, "motion_transformer", "runs", 1, 0, 1, 1.0, {metric: Figure(0.0, 1, "frames")}, videos)


def test_differences_of_the_same_videos_by_hand():
    reference = system("fomm", a=0.10, b=0.20, c=0.30, lost=None)
    # In another order, one video that the other lacks, one that was not measured.
    ours = system("ours", c=0.24, b=0.18, a=0.09, new=9.0, lost=0.5)
    (found,) = compare([reference, ours], seed=0, num_resamples=200)
    assert (found.metric, found.system, found.reference, found.videos) == ("l1", "ours", "fomm", 3)
    assert found.difference == pytest.approx(-0.03)
    assert -0.06 <= found.low < -0.03 < found.high <= -0.01  # within the smallest and the largest difference


def test_every_metric_that_both_have_and_every_system_but_the_first():
    a, b, c = (system(name, v=1.0, w=value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 4.0)))
    for one in (a, b):
        one.videos[0].metrics["psnr"] = 20.0
    c.videos[0].metrics["ssim"] = 0.5
    found = compare([a, b, c], seed=0, num_resamples=50)
    assert [(one.metric, one.system, one.difference) for one in found] == [
        ("l1", "b", 0.5),
        ("l1", "c", 1.5),
        ("psnr", "b", 0.0),
    ]
    assert compare([a], seed=0) == []


def test_one_video_has_a_difference_but_no_interval():
    (found,) = compare([system("a", v=0.2), system("b", v=0.1)], seed=0)
    assert (found.low, found.high, found.videos, found.verdict) == (None, None, 1, "unclear")


def test_infinite_values_have_no_difference():
    found = compare([system("a", "psnr", v=math.inf, w=30.0), system("b", "psnr", v=math.inf, w=31.0)], seed=0)
    assert [(one.difference, one.videos) for one in found] == [(1.0, 1)]


def test_equal_differences_have_an_interval_of_no_width():
    (found,) = compare([system("a", v=0.1, w=0.2, x=0.3), system("b", v=0.2, w=0.3, x=0.4)], seed=0)
    assert found.low == found.high == pytest.approx(0.1)
    (found,) = compare([system("a", v=0.1, w=0.2), system("b", v=0.1, w=0.2)], seed=0)
    assert (found.low, found.high, found.verdict) == (0.0, 0.0, "unclear")


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("l1", -2, -1, "better"),
        ("l1", 1, 2, "worse"),
        ("l1", -1, 1, "unclear"),
        ("psnr", 1, 2, "better"),
        ("psnr", -2, -1, "worse"),
    ],
)
def test_verdict_knows_which_direction_is_better(metric, low, high, verdict):
    assert Comparison(metric, "b", "a", (low + high) / 2, low, high, 9).verdict == verdict


def test_interval_is_seeded_and_does_not_depend_on_other_systems():
    values = np.random.default_rng(0).normal(size=(3, 12))
    a, b, c = (system(name, **{f"v{i}": x for i, x in enumerate(row)}) for name, row in zip("abc", values, strict=True))
    alone = compare([a, c], seed=3, num_resamples=200)
    assert compare([a, b, c], seed=3, num_resamples=200)[1] == alone[0]
    assert compare([a, c], seed=4, num_resamples=200) != alone


def test_interval_of_a_mean_is_close_to_students():
    """For many normal values the two agree: mean ± 1.96 standard errors."""
    values = np.random.default_rng(1).normal(2.0, 1.0, 400)
    error = values.std(ddof=1) / np.sqrt(len(values))
    low, high = mean_interval(values, seed=0, num_resamples=2000)
    np.testing.assert_allclose([low, high], values.mean() + np.array([-1.96, 1.96]) * error, atol=0.15 * error)


def test_interval_holds_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        low, high = mean_interval(generator.normal(0.5, 1.0, 25), seed=0, num_resamples=300)
        held += low <= 0.5 <= high
    assert 0.88 <= held / 200 <= 0.99
