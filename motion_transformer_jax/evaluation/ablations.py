"""Ablations: variants of one experiment, trained and evaluated under one budget, and the poster's tables of them.

    OUT/runs/VARIANT-seedS/     each training run
    OUT/reports/VARIANT-seedS/  its report, and beside it in VARIANT-seedS.json what it was made for
    OUT/report/                 all of them, compared
    OUT/tables.md               systems, position encoding, backbone, layers

Everything that is finished is found again by the next start. Where the request is another one, reports are made anew.
"""

import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_folder, atomic_path, system_errors
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.checkpoints import Request, check_request, evaluate_checkpoints
from motion_transformer_jax.reporting.report import write_report
from motion_transformer_jax.reporting.report_folder import check_replaceable
from motion_transformer_jax.reporting.results import (
    METRICS,
    METRICS_FILE,
    Evaluation,
    Figure,
    SystemResult,
    read_results,
)
from motion_transformer_jax.training.checkpoint import chosen_step, has_checkpoint
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.loop import train_and_evaluate
from motion_transformer_jax.training.saved_config import load_config

logger = logging.getLogger(__name__)

# Title of a table -> the field of config.transformer in which its rows differ.
_TABLES = {"Position encoding": "position", "Backbone": "backbone", "Layers": "depth"}
_MISSING = "-"
_SYSTEM_NAMES = {
    "motion_transformer": "motion transformer",
    "keypoint_detector": "FOMM",
    "region_predictor": "MRAA",
}


def run_ablations(
    configs: Mapping[str, ConfigDict], seeds: Sequence[int], out: str | os.PathLike, request: Request
) -> str:
    """Trains and evaluates every variant with every seed, and writes the tables.

    Args:
        configs: name of the variant -> its config; the first is the one that tables compare with.
        seeds: each variant is trained with each. They change the weights, the pairs and the puppets of training;
            all runs are evaluated on the first run's test set.
        out: the folder of everything.
        request: how to evaluate.

    Returns:
        The tables, Markdown.

    Raises:
        UserError: the variants differ in their budget, or as training and evaluation do.
    """
    check_budget(configs)
    out = Path(out)
    check_replaceable(out / "report")
    runs = {f"{name}-seed{seed}": _seeded(config, seed) for seed in seeds for name, config in configs.items()}
    for run, config in runs.items():
        _check_run(config, out / "runs" / run)
    check_request(next(iter(runs.values())), request)
    with system_errors(out):
        (out / "reports").mkdir(parents=True, exist_ok=True)
    for number, (run, config) in enumerate(runs.items(), 1):
        logger.info("run %d of %d: %s", number, len(runs), run)
        train_and_evaluate(config, out / "runs" / run)
    _check_equal_steps(out, list(runs))
    reports = [_evaluated(out, run, next(iter(runs)), request) for run in runs]
    combined = combine_reports(reports, out / "report")
    tables = ablation_tables(configs, seeds, {system.name: system for system in combined.systems})
    with atomic_path(out / "tables.md") as temporary:
        temporary.write_text(tables, "utf-8")
    return tables


def check_budget(configs: Mapping[str, ConfigDict]) -> None:
    """Raises a UserError where two variants see another number of pairs in training, or images of another size."""
    budgets = {
        name: (config.train.batch_size, config.train.num_steps or (config.train.num_epochs, config.data.repeats))
        for name, config in configs.items()
    }
    first = next(iter(budgets))
    for name, budget in budgets.items():
        if budget != budgets[first]:
            raise UserError(
                f"the variants {first} and {name} differ in their budget (batch size and steps or epochs: "
                f"{budgets[first]} and {budget}); give all one with --config.train.batch_size=N "
                "--config.train.num_steps=N"
            )
        size, expected = configs[name].model.image_size, configs[first].model.image_size
        if size != expected:
            raise UserError(
                f"the variants {first} and {name} make images of {expected} and {size} px, and figures of different "
                "sizes do not compare; give all one with --config.model.image_size=S"
            )


def _check_run(config: ConfigDict, folder: Path) -> None:
    """Raises now what would otherwise end a run, or make it useless, when others have been trained for hours."""
    trained = has_checkpoint(folder)
    validate_config(config, device_count=jax.device_count(), is_new=not trained)
    limit = config.train.num_steps
    if trained and limit and chosen_step(folder) > limit:
        raise UserError(
            f"{folder} is trained for {chosen_step(folder)} steps already, more than the budget of {limit}; "
            "name another folder with --out, or a larger budget"
        )


def _check_equal_steps(out: Path, runs: Sequence[str]) -> None:
    steps = {run: chosen_step(out / "runs" / run) for run in runs}
    other = next((run for run in runs if steps[run] != steps[runs[0]]), None)
    if other is not None:
        raise UserError(
            f"{other} is trained for {steps[other]} steps and {runs[0]} for {steps[runs[0]]}, which does not compare; "
            "name another folder with --out"
        )


def _seeded(config: ConfigDict, seed: int) -> ConfigDict:
    config = config.copy_and_resolve_references()
    config.seed = seed
    return config


def _evaluated(out: Path, run: str, first: str, request: Request) -> Path:
    """A run's report, made unless it is there and was made for the same."""
    report, checkpoint = out / "reports" / run, out / "runs" / run
    wanted = {
        "request": dataclasses.asdict(request),
        "step": chosen_step(checkpoint, request.step),
        "run": load_config(checkpoint).to_dict(),
        "first_run": load_config(out / "runs" / first).to_dict(),  # its data are the test set
    }
    text, made_for = json.dumps(wanted, indent=2), out / "reports" / f"{run}.json"
    with system_errors(made_for):
        if (report / METRICS_FILE).is_file() and made_for.is_file() and made_for.read_text("utf-8") == text:
            logger.info("%s is there", report)
            return report
        made_for.unlink(missing_ok=True)
    evaluate_checkpoints([str(checkpoint)], report, request, names=[run], data_of=str(out / "runs" / first))
    with atomic_path(made_for) as temporary:
        temporary.write_text(text, "utf-8")
    return report


def combine_reports(reports: Sequence[Path], out: Path) -> Evaluation:
    """One report of several on the same test set, with all that belongs to them.

    Raises:
        UserError: they are not on the same test set.
    """
    evaluations = [read_results(report) for report in reports]
    systems = [system for evaluation in evaluations for system in evaluation.systems]
    notices = list(dict.fromkeys(notice for evaluation in evaluations for notice in evaluation.notices))
    for report, evaluation in zip(reports, evaluations, strict=True):
        fields = ("dataset", "split", "image_size", "detector", "seed")
        differing = [name for name in fields if getattr(evaluation, name) != getattr(evaluations[0], name)]
        if differing:
            raise UserError(
                f"{report} and {reports[0]} differ in {', '.join(differing)} and do not compare; "
                f"remove {report} and start again"
            )
    combined = dataclasses.replace(evaluations[0], systems=systems, notices=notices)
    with atomic_folder(out) as folder, system_errors(out):
        for report, evaluation in zip(reports, evaluations, strict=True):
            for system in evaluation.systems:
                shutil.copytree(report / system.name, folder / system.name)
        write_report(folder, combined)
    return combined


def ablation_tables(
    configs: Mapping[str, ConfigDict], seeds: Sequence[int], systems: Mapping[str, SystemResult]
) -> str:
    """The poster's tables, Markdown: each figure the mean over seeds, with the standard deviation where there are two.

    Args:
        configs: name of the variant -> its config; the first is compared with.
        seeds: of the runs.
        systems: "VARIANT-seedS" -> its result.
    """
    results = {name: [systems[f"{name}-seed{seed}"] for seed in seeds] for name in configs}
    shown = [metric for metric in METRICS if any(metric in system.figures for system in systems.values())]
    first = next(iter(configs.values()))
    budget = f"{first.train.batch_size} pairs a step"
    budget += f", {first.train.num_steps} steps" if first.train.num_steps else f", {first.train.num_epochs} epochs"
    parts = [f"{first.name}: {budget}, {len(seeds)} seed{'s' * (len(seeds) > 1)} ({', '.join(map(str, seeds))})"]
    parts += [_table(title, rows, results, shown) for title, rows in _rows(configs).items()]
    return "\n\n".join(parts) + "\n"


def _rows(configs: Mapping[str, ConfigDict]) -> dict[str, dict[str, str]]:
    """Title of a table -> variant -> label of its row; no variant is left out."""
    first = next(iter(configs))
    rows = {
        "Systems": {
            name: _row_name(name, config) for name, config in configs.items() if _is_system(config, configs[first])
        }
    }
    for title, field in _TABLES.items():
        rows[title] = {
            name: str(config.transformer[field])
            for name, config in configs.items()
            if _differs_only_in(config, configs[first], field)
        }
    rows = {title: labels for title, labels in rows.items() if len(labels) > 1}
    others = [name for name in configs if not any(name in labels for labels in rows.values())]
    return rows | ({"Variants": {name: f"`{name}`" for name in dict.fromkeys([first, *others])}} if others else {})


def _row_name(name: str, config: ConfigDict) -> str:
    return f"{_SYSTEM_NAMES[config.model.estimator]} (`{name}`)"


def _is_system(config: ConfigDict, first: ConfigDict) -> bool:
    return config.model.estimator != "motion_transformer" or config.transformer == first.transformer


def _differs_only_in(config: ConfigDict, first: ConfigDict, field: str) -> bool:
    if config.model.estimator != "motion_transformer" or first.model.estimator != "motion_transformer":
        return False
    return all(config.transformer[name] == first.transformer[name] for name in config.transformer if name != field)


def _table(
    title: str, rows: Mapping[str, str], results: Mapping[str, Sequence[SystemResult]], shown: Sequence[str]
) -> str:
    headings = [f"{METRICS[metric][0]} {'↓' if METRICS[metric][1] else '↑'}" for metric in shown]
    lines = [f"| {title} | parameters, whole model | {' | '.join(headings)} |", "|---" * (2 + len(shown)) + "|"]
    for name, label in rows.items():
        cells = [_cell([system.figures.get(metric) for system in results[name]], metric) for metric in shown]
        lines.append(f"| {label} | {results[name][0].parameters / 1e6:.2f} M | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: Sequence[Figure | None], metric: str) -> str:
    values = [figure.value for figure in figures if figure is not None]
    if not values:
        return _MISSING
    digits = 2 if metric == "psnr" else 3 if metric in ("akd", "mkr", "ssim", "lpips") else 4
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
