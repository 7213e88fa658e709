"""From checkpoints to a report: opens the data and the detectors, evaluates each system, writes the folder."""

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_folder
from motion_transformer_jax.data.corpus import read_pair_list
from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import Detectors, create_detectors
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.cross_identity import choose_grid
from motion_transformer_jax.evaluation.perceptual import PerceptualDistance, create_lpips
from motion_transformer_jax.evaluation.systems import Measurement, System, evaluate_system
from motion_transformer_jax.evaluation.test_set import PUPPETS, TestSet, first_videos, open_test_set
from motion_transformer_jax.evaluation.truth import Truth
from motion_transformer_jax.models.lpips import LEAST_SIZE
from motion_transformer_jax.reporting.report import write_report
from motion_transformer_jax.reporting.report_folder import check_names, check_replaceable, legible
from motion_transformer_jax.reporting.results import METRICS, Evaluation, SystemResult
from motion_transformer_jax.training.checkpoint import chosen_step, load_variables
from motion_transformer_jax.training.saved_config import load_config

logger = logging.getLogger(__name__)

AUTO = "auto"
FROM_DATASET = "dataset"
_DETECTORS_OF = {"vox256": "faces", "taichi256": "bodies", "ted384": "bodies"}


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate on, and what to measure.

    Attributes:
        data, split: as `open_test_set` takes them.
        step: of the checkpoints: a number, "best", or None for the newest.
        detector: "faces", "bodies", "puppets", "none", or "auto": what suits the dataset and is installed.
        pose_onnx, identity_onnx: files of networks for bodies.
        num_videos: only this many, the first; None: all.
        lpips: True: measure it, downloading its weights if need be; None: where they are there; False: never.
        grid: sources and driving videos of the cross-identity grid; 0: none.
        pairs: CSV file of source,driving to animate instead of a grid, or "dataset": those that the dataset holds.
        png, pickles, per_head, batch_size: as in `Measurement`.
        seed: of what is drawn at random: the grid and the bootstrap.
    """

    data: str = ""
    split: str = "test"
    step: int | str | None = None
    detector: str = AUTO
    pose_onnx: str = ""
    identity_onnx: str = ""
    num_videos: int | None = None
    lpips: bool | None = None
    grid: int = 3
    pairs: str = ""
    png: bool = False
    pickles: bool = False
    per_head: bool = False
    batch_size: int | None = None
    seed: int = 0


def evaluate_checkpoints(
    checkpoints: Sequence[str],
    out: str | os.PathLike,
    request: Request,
    *,
    names: Sequence[str] = (),
    data_of: str | None = None,
) -> Evaluation:
    """Evaluates runs on one test set and writes the report's folder, whole or not at all.

    Args:
        checkpoints: folders of runs; the first is the one that others are compared with.
        out: the report's folder; an earlier report there is replaced at the end.
        request: what to do.
        names: of the systems; empty: the folders' names.
        data_of: the run on whose data to evaluate where the request names none; None: the first checkpoint.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: a mistake in the checkpoints, the data, the detectors or the folder.
    """
    check_replaceable(out)
    names = list(names) or [Path(checkpoint).resolve().name for checkpoint in checkpoints]
    if len(names) != len(checkpoints):
        raise UserError(f"there are {len(names)} names for {len(checkpoints)} checkpoints; expected one each")
    check_names(names)
    configs = [load_config(checkpoint) for checkpoint in checkpoints]
    _check_sizes(checkpoints, configs)
    steps = [chosen_step(checkpoint, request.step) for checkpoint in checkpoints]
    measurement, kind, notices = _prepare(load_config(data_of) if data_of else configs[0], request)
    test_set = measurement.test_set
    for notice in notices:
        logger.warning("%s", notice)
    with atomic_folder(out) as folder:
        systems = []
        for name, checkpoint, step in zip(names, checkpoints, steps, strict=True):
            config, variables = load_variables(checkpoint, step=step)
            systems.append(evaluate_system(System(name, checkpoint, step, config, variables), measurement, folder))
        notices += _unmeasured(measurement.detectors, kind, systems)
        evaluation = Evaluation(
            test_set.name, test_set.split, test_set.image_size, kind, request.seed, systems, notices
        )
        write_report(folder, evaluation)
    return evaluation


def check_request(config: ConfigDict, request: Request) -> None:
    """Raises the UserError that an evaluation of a model of this config would start with; hours earlier, perhaps."""
    _prepare(config, request)


def _prepare(config: ConfigDict, request: Request) -> tuple[Measurement, str, list[str]]:
    """What a request asks for on the data of a config, the kind of its detectors, and what is to be said of them."""
    test_set, train_set, detectors, kind, notices = _open_data(config, request)
    lpips, reason = _create_lpips(request, test_set.image_size)
    notices += [reason] if reason else []
    pairs = _choose_pairs(test_set, request)
    if request.grid and not pairs:
        notices.append("no cross-identity animation: all videos that are evaluated are of one identity")
    measurement = Measurement(
        test_set=test_set,
        detectors=detectors,
        truth=Truth(test_set, detectors, DetectionCache()),
        train_set=train_set,
        lpips=lpips,
        pairs=pairs,
        png=request.png,
        pickles=request.pickles,
        per_head=request.per_head,
        batch_size=request.batch_size,
    )
    return measurement, kind, notices


def _unmeasured(detectors: Detectors, kind: str, systems: Sequence[SystemResult]) -> list[str]:
    """What the detectors could not measure anywhere, as a notice."""
    missing = [name for name in detectors.metrics if not any(name in system.figures for system in systems)]
    if not missing:
        return []
    notice = f"no {', '.join(METRICS[name][0] for name in missing)}: the detector '{kind}' found nothing to compare"
    logger.warning("%s", notice)
    return [notice]


def _check_sizes(checkpoints: Sequence[str], configs: Sequence[ConfigDict]) -> None:
    for checkpoint, config in zip(checkpoints, configs, strict=True):
        if config.model.image_size != configs[0].model.image_size:
            raise UserError(
                f"{checkpoint} makes images of {config.model.image_size} px but {checkpoints[0]} of "
                f"{configs[0].model.image_size} px, and figures of different sizes do not compare; "
                "evaluate them one by one"
            )


def _open_data(config: ConfigDict, request: Request) -> tuple[TestSet, TestSet | None, Detectors, str, list[str]]:
    """The test set, the split to fit regressions on, the detectors, their kind, and what is to be said of them."""
    markers = True if request.detector == PUPPETS else None
    test_set = open_test_set(config, request.data, split=request.split, markers=markers)
    if request.num_videos is not None:
        test_set = first_videos(test_set, request.num_videos)
    kind, notices = _choose_detector(test_set, config, request)
    if kind == PUPPETS and not test_set.annotated:
        raise UserError(f"the detector 'puppets' finds the markers of puppets; {test_set.name} has none")
    try:
        detectors = create_detectors(kind, pose_onnx=request.pose_onnx, identity_onnx=request.identity_onnx)
    except UserError as error:
        if request.detector != AUTO:
            raise
        kind, notices = "none", [f"no AKD and AED: {error}"]
        detectors = create_detectors(kind)
    has_train_set = test_set.annotated and request.split == "test"
    train_set = open_test_set(config, request.data, split="train", markers=markers) if has_train_set else None
    return test_set, train_set, detectors, kind, [*test_set.notices, *notices]


def _choose_detector(test_set: TestSet, config: ConfigDict, request: Request) -> tuple[str, list[str]]:
    if request.detector != AUTO:
        return request.detector, []
    if test_set.annotated:
        if config.data.puppet_markers:
            return PUPPETS, []
        return "none", ["no AKD: training had puppets without markers; --detector puppets evaluates marked ones"]
    kind = _DETECTORS_OF.get(test_set.name, "none")
    if kind == "none":
        return kind, ["no AKD and AED: name the dataset's detector with --detector faces|bodies"]
    if kind == "bodies" and not request.pose_onnx:
        return "none", ["no AKD and AED: name a pose network with --pose-onnx FILE"]
    return kind, []


def _create_lpips(request: Request, image_size: int) -> tuple[PerceptualDistance | None, str]:
    """The distance, or None and why; nothing is said where it was not wanted."""
    if request.lpips is False:
        return None, ""
    if image_size < LEAST_SIZE:
        return None, f"no LPIPS: it needs images of {LEAST_SIZE} px or more, these have {image_size}"
    return create_lpips(allow_download=bool(request.lpips))


def _choose_pairs(test_set: TestSet, request: Request) -> list[tuple[int, int]]:
    names = list(test_set.videos.names)
    if not request.pairs:
        return choose_grid(names, request.grid, request.seed) if request.grid else []
    if request.pairs != FROM_DATASET:
        pairs = read_pair_list(request.pairs, names)
    elif test_set.pairs:
        pairs = test_set.pairs
    else:
        raise UserError(f"{test_set.name} holds no pairs; prepare it with --pairs, or name a CSV file")
    position = {name: index for index, name in enumerate(names)}
    missing = next((name for pair in pairs for name in pair if name not in position), None)
    if missing is not None:
        raise UserError(
            f"the pairs name '{legible(missing)}', which is not among the {len(names)} videos that are evaluated"
        )
    return [(position[source], position[driving]) for source, driving in pairs]
