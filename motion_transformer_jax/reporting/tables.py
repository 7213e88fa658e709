"""The report's tables as text: which columns there are, how many digits, what is best, what the paper printed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from motion_transformer_jax.reporting.poster import poster_rows
from motion_transformer_jax.reporting.results import METRICS, Evaluation, Figure, SystemResult

MISSING = "\N{EN DASH}"
ESTIMATOR_NAMES = {
    "motion_transformer": "Motion transformer",
    "keypoint_detector": "FOMM",
    "region_predictor": "MRAA",
}
_DIGITS = {"l1": 4, "psnr": 2, "ssim": 4, "lpips": 4, "akd": 3, "mkr": 4, "aed": 4}
_PAIR = ("akd", "mkr")  # printed as one column by the paper


@dataclass(frozen=True)
class Cell:
    """A figure as text; `note`: of what it is the mean; `best`: of its column."""

    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A heading; `less_is_better` or None where it has no direction; `note`: of what all its figures are means."""

    heading: str
    less_is_better: bool | None = None
    note: str = ""

    @property
    def arrow(self) -> str:
        """The direction in which it gets better."""
        return {True: "↓", False: "↑", None: ""}[self.less_is_better]


@dataclass(frozen=True)
class Table:
    """Rows of cells below columns; a row's first item is its heading."""

    columns: list[Column]
    rows: list[tuple[str, list[Cell]]]


def format_metric(metric: str, value: float | None, *, signed: bool = False) -> str:
    """A value with the digits that its metric is printed with; a dash for None and what is not a number."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:{'+' * signed}.{_DIGITS.get(metric, 4)}f}" if math.isfinite(value) else "∞"
    return text.replace("-", "\N{MINUS SIGN}")


def format_number(value: float) -> str:
    """Four significant digits, for figures that are no metric."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def measured_metrics(systems: Sequence[SystemResult]) -> list[str]:
    """Names of METRICS that any of the systems has a figure for."""
    return [metric for metric in METRICS if any(metric in system.figures for system in systems)]


def main_table(evaluation: Evaluation) -> Table:
    """A row per system; the best of each column is marked where there are several."""
    metrics = measured_metrics(evaluation.systems)
    rows = {system.name: system.figures for system in evaluation.systems}
    columns = {metric: METRICS[metric] for metric in metrics}
    return _table(columns, rows, lambda metric, value: format_metric(metric, value))


def printed_rows(evaluation: Evaluation) -> list[tuple[str, list[Cell]]]:
    """The paper's rows for the dataset, below the columns of `main_table`."""
    metrics = measured_metrics(evaluation.systems)
    return [
        (row.system, [Cell(row.printed.get(metric, MISSING)) for metric in metrics])
        for row in poster_rows(evaluation.dataset)
    ]


def regression_table(evaluation: Evaluation) -> Table | None:
    """Landmark regression: errors, the fewer the better; None where there is none."""
    rows = {system.name: system.regression for system in evaluation.systems if system.regression}
    columns = {name: (_heading(name), True) for name in _ordered(rows.values())}
    return _table(columns, rows, lambda _, value: format_number(value)) if rows else None


def animation_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Cross-identity animation: mode -> a table of distances."""
    tables = {}
    for mode in _ordered(system.animation for system in evaluation.systems):
        rows = {system.name: system.animation.get(mode, {}) for system in evaluation.systems}
        columns = {name: METRICS.get(name, (_heading(name), True)) for name in _ordered(rows.values())}
        if columns:
            tables[mode] = _table(columns, rows, format_metric)
    return tables


def markdown_table(evaluation: Evaluation) -> str:
    """The systems in the form of the paper's main table, with what else was measured to its right.

    L1, (AKD, MKR) and AED come first, the best of each column bold; the paper's own rows for the dataset stand below.

    Returns:
        Markdown lines that end in a newline.
    """
    metrics = measured_metrics(evaluation.systems)
    table = main_table(evaluation)
    groups = [
        group for group in (("l1",), _PAIR, ("aed",), ("psnr",), ("ssim",), ("lpips",)) if set(group) & {*metrics}
    ]
    groups = [tuple(metric for metric in group if metric in metrics) for group in groups]
    cells = dict(zip(metrics, table.columns, strict=True))
    lines = [
        "| | "
        + " | ".join(_grouped([cells[metric].heading for metric in group], cells[group[0]].arrow) for group in groups)
        + " |",
        "|---" * (1 + len(groups)) + "|",
    ]
    printed = [(f"{name} (paper)", row) for name, row in printed_rows(evaluation)]
    for name, row in [*table.rows, *printed]:
        texts = {
            metric: f"**{cell.text}**" if cell.best else cell.text for metric, cell in zip(metrics, row, strict=True)
        }
        shown = [_grouped([texts[metric] for metric in group]) for group in groups]
        lines.append(f"| {_escaped(name)} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _grouped(texts: Sequence[str], arrow: str = "") -> str:
    text = texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
    return f"{text} {arrow}".strip()


def _escaped(name: str) -> str:
    return " ".join(name.replace("\\", "\\\\").replace("|", "\\|").split())


def _table(columns: Mapping[str, tuple[str, bool | None]], rows: Mapping[str, Mapping[str, Figure]], write) -> Table:
    best = {name: _best(name, less, rows.values(), write) for name, (_, less) in columns.items()}
    shared = {name: _shared_note(name, rows.values()) for name in columns}

    def cell(name: str, figure: Figure | None) -> Cell:
        if figure is None:
            return Cell(MISSING)
        text = write(name, figure.value)
        unit, counted = shared[name]
        note = "" if counted else f"{figure.count:,}" if unit else _note(figure)
        return Cell(text, note, len(rows) > 1 and text == best[name])

    return Table(
        [Column(heading, less, shared[name][0]) for name, (heading, less) in columns.items()],
        [(row, [cell(name, figures.get(name)) for name in columns]) for row, figures in rows.items()],
    )


def _best(name: str, less_is_better: bool | None, rows: Iterable[Mapping[str, Figure]], write) -> str | None:
    """The best value as it is printed: what looks equal is equally good."""
    values = [row[name].value for row in rows if name in row and not math.isnan(row[name].value)]
    if less_is_better is None or not values:
        return None
    return write(name, min(values) if less_is_better else max(values))


def _shared_note(name: str, rows: Iterable[Mapping[str, Figure]]) -> tuple[str, bool]:
    """What all figures of a column are means of, and whether that includes how many; else cells tell the number."""
    figures = [row[name] for row in rows if name in row]
    counts, units = {figure.count for figure in figures}, {figure.unit for figure in figures}
    if len(counts) == len(units) == 1:
        return _note(figures[0]), True
    return (figures[0].unit if len(units) == 1 else ""), False


def _note(figure: Figure) -> str:
    return f"{figure.count:,} {figure.unit}"


def _heading(name: str) -> str:
    words = name.replace("_px", " in pixels").replace("_share", ", share of the figure's size").replace("_", " ")
    return words[:1].upper() + words[1:]


def _ordered(mappings: Iterable[Mapping]) -> list[str]:
    """All keys, in the order in which they first come."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
