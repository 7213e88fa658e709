"""Geometry of the report's small drawings; the page's template turns it into SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from motion_transformer_jax.reporting.comparison import Comparison
from motion_transformer_jax.reporting.results import METRICS, SystemResult
from motion_transformer_jax.reporting.tables import format_metric

INTERVAL_WIDTH, INTERVAL_HEIGHT = 220, 22
SPREAD_WIDTH = 320
_ROW_HEIGHT, _MARGIN = 46, 8
_DOT = 2.2  # radius


@dataclass(frozen=True)
class IntervalSketch:
    """One row of the differences' table: positions in px along INTERVAL_WIDTH; right of the middle is better."""

    centre: float
    left: float | None
    right: float | None


@dataclass(frozen=True)
class SpreadRow:
    """One system: where its row is, the dots as an SVG path, and the mean of its videos in px."""

    system: str
    y: float
    path: str
    mean: float
    mean_text: str
    videos: int


@dataclass(frozen=True)
class SpreadSketch:
    """How a metric is spread over videos: rows of dots, and the ends of its axis."""

    metric: str
    height: float
    rows: list[SpreadRow]
    low: str
    high: str


def sketch_intervals(comparisons: Sequence[Comparison]) -> list[IntervalSketch]:
    """A sketch of each comparison; those of one metric share a scale, on which right is better."""
    reach: dict[str, float] = {}
    for one in comparisons:
        ends = [abs(value) for value in (one.difference, one.low, one.high) if value is not None]
        reach[one.metric] = max(reach.get(one.metric, 0.0), *ends)

    def place(metric: str, value: float) -> float:
        better = -value if METRICS[metric][1] else value
        middle = INTERVAL_WIDTH / 2
        return round(middle + better / (reach[metric] or 1) * (middle - _MARGIN), 1)

    sketches = []
    for one in comparisons:
        ends = [place(one.metric, value) for value in (one.low, one.high) if value is not None]
        left, right = (min(ends), max(ends)) if ends else (None, None)
        sketches.append(IntervalSketch(place(one.metric, one.difference), left, right))
    return sketches


def sketch_spread(metric: str, systems: Sequence[SystemResult]) -> SpreadSketch | None:
    """A dot for each video of each system; None where fewer than two videos were measured."""
    values = {system.name: _finite_values(metric, system) for system in systems}
    found = [value for row in values.values() for value in row]
    if max(map(len, values.values()), default=0) < 2:
        return None
    low, high = min(found), max(found)
    rows = [_spread_row(metric, name, index, values[name], (low, high)) for index, name in enumerate(values)]
    height = _ROW_HEIGHT * len(rows) + 18
    return SpreadSketch(metric, height, rows, format_metric(metric, low), format_metric(metric, high))


def _spread_row(metric: str, name: str, index: int, values: list[float], ends: tuple[float, float]) -> SpreadRow:
    low, high = ends

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return _MARGIN + share * (SPREAD_WIDTH - 2 * _MARGIN)

    y = _ROW_HEIGHT * index + 30
    mean = math.fsum(values) / len(values) if values else math.nan
    return SpreadRow(
        name,
        y,
        _dots_path([place(value) for value in values], y),
        round(place(mean), 1) if values else 0.0,
        format_metric(metric, mean),
        len(values),
    )


def _dots_path(places: list[float], y: float) -> str:
    """Dots as strokes of no length: shorter than circles. Those that would hide each other move up and down in turn."""
    stacks: dict[int, int] = {}
    parts = []
    for x in sorted(places):
        stack = round(x / (2 * _DOT))
        number = stacks[stack] = stacks.get(stack, -1) + 1
        offset = min((number + 1) // 2 * 2 * _DOT, 10) * (1 if number % 2 else -1)
        parts.append(f"M{x:.1f} {y + offset:.1f}h0")
    return "".join(parts)


def _finite_values(metric: str, system: SystemResult) -> list[float]:
    values = (video.metrics.get(metric, math.nan) for video in system.videos)
    return [value for value in values if math.isfinite(value)]
