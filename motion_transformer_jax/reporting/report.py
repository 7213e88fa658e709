"""The report's folder: metrics.json, videos.csv, and index.html, one file that opens offline and asks for no other."""

import csv
import math
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.reporting.comparison import CONFIDENCE, compare
from motion_transformer_jax.reporting.media import Room, link, place_extremes, place_pictures
from motion_transformer_jax.reporting.poster import CITATION, poster_name
from motion_transformer_jax.reporting.results import METRICS, METRICS_FILE, Evaluation, write_results
from motion_transformer_jax.reporting.sketches import (
    INTERVAL_HEIGHT,
    INTERVAL_WIDTH,
    SPREAD_WIDTH,
    sketch_intervals,
    sketch_spread,
)
from motion_transformer_jax.reporting.tables import (
    ESTIMATOR_NAMES,
    animation_tables,
    format_metric,
    main_table,
    markdown_table,
    measured_metrics,
    printed_rows,
    regression_table,
)

__all__ = ["markdown_table", "write_report"]

PAGE_FILE, VIDEOS_FILE = "index.html", "videos.csv"
# What a page can hold and still be mailed and opened on a phone; base64 makes a third more of it.
_VIDEO_BYTES, _PICTURE_BYTES = 20 << 20, 12 << 20
_FEW_VIDEOS = 10  # below, bootstrap intervals are clearly too narrow


def write_report(
    folder: str | os.PathLike,
    evaluation: Evaluation,
    *,
    num_extremes: int = 3,
    video_bytes: int = _VIDEO_BYTES,
    picture_bytes: int = _PICTURE_BYTES,
) -> Path:
    """Writes FOLDER/metrics.json, FOLDER/videos.csv and FOLDER/index.html, each whole or not at all.

    Args:
        folder: holds the clips and pictures that the evaluation names; files that are not there are left out.
        evaluation: what was found.
        num_extremes: how many of the worst and of the best videos play in the page.
        video_bytes: of video files at most that go into the page; what does not fit is linked.
        picture_bytes: the same of pictures.

    Returns:
        The page's path.

    Raises:
        UserError: the folder cannot be written, or a file in it not be read.
    """
    folder = Path(folder)
    write_results(folder, evaluation)
    _write_videos(folder / VIDEOS_FILE, evaluation)
    content = (
        _environment()
        .get_template("report.html")
        .render(
            **_tables(evaluation),
            **_drawings(evaluation),
            **_media(folder, evaluation, num_extremes, video_bytes, picture_bytes),
        )
    )
    page = folder / PAGE_FILE
    with system_errors(page), atomic_path(page) as temporary:
        temporary.write_text(content, "utf-8")
    return page


def _write_videos(path: Path, evaluation: Evaluation) -> None:
    metrics = measured_metrics(evaluation.systems)
    with (
        system_errors(path),
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(["system", "video", "frames", *metrics])
        for system in evaluation.systems:
            for video in system.videos:
                # As in metrics.json, what is not finite is left out.
                values = [video.metrics.get(metric, math.nan) for metric in metrics]
                shown = [value if math.isfinite(value) else "" for value in values]
                table.writerow([system.name, video.name, video.frames, *shown])


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("motion_transformer_jax.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["link"] = link
    environment.filters["metric_value"] = lambda value, metric: format_metric(metric, value)
    environment.filters["metric_difference"] = lambda value, metric: format_metric(metric, value, signed=True)
    environment.filters["sortable"] = _sortable
    return environment


def _sortable(value: float | None) -> str:
    """A value as JavaScript's Number() reads it; "" for what is missing."""
    if value is None or math.isnan(value):
        return ""
    return repr(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _tables(evaluation: Evaluation) -> dict:
    videos = {video.name: video.frames for system in evaluation.systems for video in system.videos}
    return {
        "evaluation": evaluation,
        "dataset": poster_name(evaluation.dataset),
        "numbers": {system.name: number for number, system in enumerate(evaluation.systems)},
        "num_videos": len(videos),
        "num_frames": sum(videos.values()),
        "metrics": measured_metrics(evaluation.systems),
        "headings": {name: heading for name, (heading, _) in METRICS.items()},
        "less_is_better": {name: less for name, (_, less) in METRICS.items()},
        "estimators": ESTIMATOR_NAMES,
        "main": main_table(evaluation),
        "printed": printed_rows(evaluation),
        "citation": CITATION,
        "regression": regression_table(evaluation),
        "animation": animation_tables(evaluation),
        "results_file": METRICS_FILE,
        "videos_file": VIDEOS_FILE,
    }


def _drawings(evaluation: Evaluation) -> dict:
    comparisons = compare(evaluation.systems, seed=evaluation.seed)
    spreads = [sketch_spread(metric, evaluation.systems) for metric in measured_metrics(evaluation.systems)]
    return {
        "comparisons": list(zip(comparisons, sketch_intervals(comparisons), strict=True)),
        "confidence": CONFIDENCE,
        "few_videos": any(one.videos < _FEW_VIDEOS for one in comparisons),
        "interval_size": (INTERVAL_WIDTH, INTERVAL_HEIGHT),
        "spreads": [spread for spread in spreads if spread is not None],
        "spread_width": SPREAD_WIDTH,
    }


def _media(folder: Path, evaluation: Evaluation, num_extremes: int, video_bytes: int, picture_bytes: int) -> dict:
    worst, best = place_extremes(evaluation.systems, Room(folder, video_bytes), num_extremes)
    animated, pictures = place_pictures(evaluation.systems, Room(folder, picture_bytes))
    return {"worst": worst, "best": best, "animated": animated, "pictures": pictures}
