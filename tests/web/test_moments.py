import numpy as np
import pytest

from motion_transformer_jax.web.moments import Moments


def moments_of(length, count=6):
    moments = Moments(count)
    for item in range(length):
        moments.add(item)
    return moments


@pytest.mark.parametrize("length", [0, 1, 2, 5, 6, 9, 24])
def test_of_a_short_stream_they_are_where_they_should_be(length):
    expected = np.linspace(0, length - 1, min(6, length)).round()
    assert moments_of(length).choose() == expected.tolist()


@pytest.mark.parametrize("length", [25, 26, 100, 1801])
def test_of_a_long_stream_they_are_nearly_even(length):
    chosen = moments_of(length).choose()
    assert (len(chosen), chosen[0], chosen[-1]) == (6, 0, length - 1)
    steps = np.diff(chosen) / (length - 1) * 5
    assert steps.min() > 0.6 and steps.max() < 1.4


def test_few_are_kept():
    assert len(moments_of(100_000)._kept) <= 24
