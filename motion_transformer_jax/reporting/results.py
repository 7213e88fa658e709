"""What an evaluation found, and the file that keeps it: REPORT/metrics.json.

A report's folder:

    metrics.json  videos.csv  index.html
    SYSTEM/videos/NAME.mp4      source | driving | result | error, side by side
    SYSTEM/pictures/NAME.png    keypoints, masks, flow, attention
    SYSTEM/animation-MODE.mp4   cross-identity animation, and a contact sheet beside it
    SYSTEM/png/NAME.png         on request: the predictions of a video, a lossless film strip
    SYSTEM/pickles/NAME.pkl     on request: detections in the form of FOMM's pose-evaluation
"""

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.confinement import is_file_name, is_inner_path
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.typed_json import read_json, typed

METRICS_FILE = "metrics.json"
FORMAT = 1  # of metrics.json

# Of a video and of a whole test set: name in the files -> (heading, whether less is better).
METRICS = {
    "l1": ("L1", True),
    "psnr": ("PSNR", False),
    "ssim": ("SSIM", False),
    "lpips": ("LPIPS", True),
    "akd": ("AKD", True),
    "mkr": ("MKR", True),
    "aed": ("AED", True),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of a table.

    Attributes:
        value: the mean.
        count: of what it is the mean.
        unit: what was counted, such as "frames".
    """

    value: float
    count: int
    unit: str


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """One reconstructed video.

    Attributes:
        name: of the video in its dataset.
        frames: how many.
        metrics: names of METRICS -> mean over the frames; what could not be measured is left out.
        clip: source | driving | result | error as a video, relative to the report's folder; None where none was kept.
    """

    name: str
    frames: int
    metrics: dict[str, float]
    clip: str | None = None


@dataclasses.dataclass(frozen=True)
class SystemResult:
    """One trained model on the test set: a row of the table.

    Attributes:
        name: of the row, unique in the report.
        estimator: "motion_transformer", "keypoint_detector" (FOMM) or "region_predictor" (MRAA).
        checkpoint: folder of the run, as the user named it.
        step: of the checkpoint.
        seed: that the model was trained with.
        parameters: of the whole model.
        frames_per_second: of reconstruction with all measurements, on the machine of the report.
        figures: names of METRICS -> Figure over the whole test set; what could not be measured is left out.
        videos: of every video of the test set, in its order.
        regression: figures of the landmark regression, by name; empty where there are no true joints.
        animation: figures of the cross-identity animation, mode -> name -> Figure; empty where none was asked for.
        pictures: caption -> PNG, relative to the report's folder.
    """

    name: str
    estimator: str
    checkpoint: str
    step: int
    seed: int
    parameters: int
    frames_per_second: float
    figures: dict[str, Figure]
    videos: list[VideoResult]
    regression: dict[str, Figure] = dataclasses.field(default_factory=dict)
    animation: dict[str, dict[str, Figure]] = dataclasses.field(default_factory=dict)
    pictures: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Systems on one test set, all measured alike.

    Attributes:
        dataset: name of the data, such as "vox256", "puppets" or a folder's name.
        split: "test" or "train".
        image_size: side of the frames in pixels.
        detector: of keypoints and identities: "faces", "bodies", "puppets" or "none".
        seed: of all that is drawn at random in the evaluation.
        systems: one or more, each over the same videos.
        notices: what a reader must know, such as why a column is empty; a line each.
    """

    dataset: str
    split: str
    image_size: int
    detector: str
    seed: int
    systems: list[SystemResult]
    notices: list[str] = dataclasses.field(default_factory=list)


def write_results(folder: str | os.PathLike, evaluation: Evaluation) -> Path:
    """Writes FOLDER/metrics.json, whole or not at all, and returns its path. Figures that are not finite become null.

    Raises:
        UserError: the folder cannot be written.
    """
    path = Path(folder) / METRICS_FILE
    content = {"format": FORMAT, **_finite(dataclasses.asdict(evaluation))}
    with system_errors(path), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path


def read_results(folder: str | os.PathLike) -> Evaluation:
    """Reads what `write_results` wrote.

    Raises:
        UserError: there is no such file, or it is not one of ours.
    """
    path = Path(folder) / METRICS_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {METRICS_FILE}; expected what `motrans evaluate` had as --out")
    content = read_json(path, "what `motrans evaluate` wrote; run the evaluation again")
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(f"{path} has format {found!r}, expected {FORMAT}; run the evaluation again")
    try:
        evaluation = typed(Evaluation, _without_none(content))
    except TypeError as error:
        raise UserError(f"{path} is not a report of `motrans evaluate` ({error}); run the evaluation again") from error
    if not evaluation.systems:
        raise UserError(f"{path} holds no system; run the evaluation again")
    _check_inside(path, evaluation)
    return evaluation


def _without_none(value: Any) -> Any:
    """Without what was not finite: dicts' entries that are null, and figures of such a value."""
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_none(item)
        for name, item in value.items()
        if item is not None and not (isinstance(item, dict) and "value" in item and item["value"] is None)
    }


def _check_inside(path: Path, evaluation: Evaluation) -> None:
    """Raises a UserError where a report names files that are not its own: they would be copied and shown."""
    for system in evaluation.systems:
        if not is_file_name(system.name):
            raise UserError(f"{path} names a system {system.name!r}, no folder's name; run the evaluation again")
        clips = [video.clip for video in system.videos if video.clip is not None]
        outside = next((file for file in [*clips, *system.pictures.values()] if not is_inner_path(file)), None)
        if outside is not None:
            raise UserError(f"{path} names {outside!r}, which is not inside its folder; run the evaluation again")


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
