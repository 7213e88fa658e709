"""Evaluates trained systems on one test set and writes the report's folder."""

import dataclasses
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from motion_transformer_jax.atomic import system_errors
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.detection.detectors import Detectors
from motion_transformer_jax.detection.pose_pickles import write_embedding_pickle, write_keypoint_pickle
from motion_transformer_jax.evaluation.cross_identity import FPS, animate_pairs
from motion_transformer_jax.evaluation.landmark_regression import measure_regression
from motion_transformer_jax.evaluation.perceptual import PerceptualDistance
from motion_transformer_jax.evaluation.pictures import draw_system_pictures
from motion_transformer_jax.evaluation.reconstruction import Reconstructor
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.truth import Truth
from motion_transformer_jax.evaluation.video_measure import Detections, VideoMeasure, mean_figures
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.reporting.report_folder import legible, stem
from motion_transformer_jax.reporting.results import SystemResult, VideoResult

logger = logging.getLogger(__name__)

_ERROR_GAIN = 2
_PICTURED_VIDEOS = 3
_REGRESSION_FRAMES = 8  # of a video; its poses repeat


@dataclasses.dataclass(frozen=True)
class System:
    """A trained model and where it is from.

    Attributes:
        name: of its row and its folder in the report.
        checkpoint: the run's folder, as the user named it.
        step: of the checkpoint.
        config, variables: as `load_variables` gives them.
    """

    name: str
    checkpoint: str
    step: int
    config: ConfigDict
    variables: Any


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What every system is measured by.

    Attributes:
        test_set: the videos.
        train_set: videos with true joints to fit the landmark regression on; None: no regression.
        detectors: of keypoints and identities.
        truth: what they find in the true frames, or what is known of them.
        lpips: the perceptual distance; None: not measured.
        pairs: (source, driving) indices to animate.
        png: also write the predictions as lossless film strips, as FOMM's pose-evaluation reads them.
        pickles: also write what the detectors found as the pickles of FOMM's pose-evaluation.
        per_head: also draw the attention of each head.
        batch_size: frames in a batch; None: what suits the device.
    """

    test_set: TestSet
    detectors: Detectors
    truth: Truth
    train_set: TestSet | None = None
    lpips: PerceptualDistance | None = None
    pairs: Sequence[tuple[int, int]] = ()
    png: bool = False
    pickles: bool = False
    per_head: bool = False
    batch_size: int | None = None


def evaluate_system(system: System, measurement: Measurement, report: str | os.PathLike) -> SystemResult:
    """Measures one system, and writes its videos and pictures to REPORT/NAME/.

    Args:
        system: the model.
        measurement: by what to measure it.
        report: the report's folder; it is there.

    Returns:
        Its row of the table.

    Raises:
        UserError: something cannot be read or written.
    """
    report, config, test_set = Path(report), system.config, measurement.test_set
    start = time.monotonic()
    videos, measured = _reconstruct_videos(system, measurement, report)
    speed = test_set.num_frames / (time.monotonic() - start)
    logger.info("%s: %d frames reconstructed and measured, %.1f frames/s", system.name, test_set.num_frames, speed)
    animator = Animator(config, system.variables, batch_size=measurement.batch_size)
    regression = {}
    if measurement.train_set is not None:
        regression = measure_regression(
            animator.estimate_motions,
            measurement.train_set.videos,
            test_set.videos,
            frames_per_video=_REGRESSION_FRAMES,
        )
    pictures = _draw_pictures(system, measurement, report)
    animation = {}
    if measurement.pairs:
        animation, sheets = animate_pairs(
            animator, test_set, measurement.pairs, measurement.detectors, measurement.truth, report, system.name
        )
        pictures |= sheets
    return SystemResult(
        name=system.name,
        estimator=config.model.estimator,
        checkpoint=system.checkpoint,
        step=system.step,
        seed=config.seed,
        parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(system.variables["params"])),
        frames_per_second=speed,
        figures=mean_figures(measured),
        videos=videos,
        regression=regression,
        animation=animation,
        pictures=pictures,
    )


def _reconstruct_videos(
    system: System, measurement: Measurement, report: Path
) -> tuple[list[VideoResult], dict[str, list[np.ndarray]]]:
    """Every video's result, and all measurements, an array over frames for each video."""
    test_set = measurement.test_set
    folder = Path(system.name) / "videos"
    with system_errors(report):
        (report / folder).mkdir(parents=True)
        if measurement.png:
            (report / system.name / "png").mkdir()
    reconstructor = Reconstructor(system.config, system.variables, batch_size=measurement.batch_size)
    videos, measured, found = [], {}, {}
    with tqdm(total=test_set.num_frames, desc=system.name, unit="frame", dynamic_ncols=True, disable=None) as bar:
        for index, name in enumerate(test_set.videos.names):
            clip = folder / f"{stem(name)}.mp4"
            measure = VideoMeasure(measurement.detectors, measurement.lpips)
            strip: list[np.ndarray] | None = [] if measurement.png else None
            panels = _panels(reconstructor, test_set.frames(index), measure, strip, bar)
            write_video(report / clip, panels, fps=FPS)
            if strip:
                write_image(report / system.name / "png" / f"{stem(name)}.png", np.concatenate(strip, axis=1))
            values = measure.finish(measurement.truth.detections(index))
            if measurement.pickles:
                found[legible(name)] = measure.found
            for metric, array in values.items():
                measured.setdefault(metric, []).append(array)
            means = {metric: float(array.mean()) for metric, array in values.items() if array.size}
            videos.append(VideoResult(legible(name), test_set.videos.num_frames(index), means, clip.as_posix()))
    if measurement.pickles:
        truth = {name: measurement.truth.detections(index) for index, name in enumerate(found)}
        _write_pickles(report / system.name / "pickles", {"truth-": truth, "": found})
    return videos, measured


def _write_pickles(folder: Path, parts: Mapping[str, Mapping[str, Detections]]) -> None:
    """Writes [PREFIX]keypoints.pkl and [PREFIX]identities.pkl, as far as there are detectors."""
    with system_errors(folder):
        folder.mkdir()
    for prefix, videos in parts.items():
        keypoints = {name: found.keypoints for name, found in videos.items() if found.keypoints is not None}
        identities = {name: found.identities for name, found in videos.items() if found.identities is not None}
        if keypoints:
            write_keypoint_pickle(folder / f"{prefix}keypoints.pkl", keypoints)
        if identities:
            write_embedding_pickle(folder / f"{prefix}identities.pkl", identities)


def _panels(
    reconstructor: Reconstructor,
    frames: Iterator[np.ndarray],
    measure: VideoMeasure,
    strip: list[np.ndarray] | None,
    bar: tqdm,
) -> Iterator[np.ndarray]:
    """Streams source | driving | result | error, uint8 [S, 4 S, 3], and hands each frame to the measure on its way."""
    source = None
    for frame in reconstructor.reconstruct(frames):
        source = frame.driving if source is None else source
        measure.add(frame.driving, frame.prediction, frame.metrics)
        if strip is not None:
            strip.append(frame.prediction)
        error = _ERROR_GAIN * np.abs(frame.prediction.astype(np.int16) - frame.driving)
        yield np.concatenate([source, frame.driving, frame.prediction, np.minimum(error, 255).astype(np.uint8)], axis=1)
        bar.update()


def _draw_pictures(system: System, measurement: Measurement, report: Path) -> dict[str, str]:
    """Pictures of a few videos, spread over the test set: the first frame moved to the one in the middle."""
    videos = measurement.test_set.videos
    count = min(_PICTURED_VIDEOS, len(videos.names))
    chosen = np.linspace(0, len(videos.names) - 1, count).round().astype(int).tolist()
    source = np.stack([videos.frame(index, 0) for index in chosen])
    driving = np.stack([videos.frame(index, videos.num_frames(index) // 2) for index in chosen])
    folder = Path(system.name) / "pictures"
    with system_errors(report):
        (report / folder).mkdir()
    paths = {}
    drawn = draw_system_pictures(system.config, system.variables, source, driving, per_head=measurement.per_head)
    for caption, picture in drawn.items():
        path = folder / f"{caption.replace(' ', '-').replace('/', '-')}.png"
        write_image(report / path, picture)
        paths[caption] = path.as_posix()
    return paths
