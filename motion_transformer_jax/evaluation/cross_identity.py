"""Cross-identity animation: figures moved by other figures' videos, side by side and in figures.

There is no true frame to compare with. What should stay is the source's identity: the identity distance is AED between
each result and the source. What should be carried over is the motion: the motion distance is AKD between each result
and its driving frame after the driving keypoints were moved and scaled to the result's place and size.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.detection.detectors import Detectors, Embeddings, Keypoints
from motion_transformer_jax.detection.keypoint_metrics import identity_distances, keypoint_distances
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.truth import Truth
from motion_transformer_jax.evaluation.video_measure import DetectionStream
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.reporting.results import Figure
from motion_transformer_jax.viz.sheet import contact_sheet

MODES = ("relative", "absolute")
FRAMES = 64  # of a driving video, at most
_SHOWN_PAIRS = 16  # of a list; all are measured
_SHEET_COLUMNS = 6
_LEAST_CELL_PX = 320
_FPS = 25


def choose_grid(names: Sequence[str], size: int, seed: int) -> list[tuple[int, int]]:
    """Chooses up to `size` sources and `size` driving videos, each combined with each.

    Args:
        names: of the videos; what stands before the first '#' is the identity.
        size: of the grid, at least 1.
        seed: of the choice.

    Returns:
        (source, driving) indices, row by row; no identity is both a source and a driver where there are enough, and
        none drives itself. Empty with a single identity.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(identity(name), []).append(index)
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    chosen = [list(groups.values())[group][0] for group in order]
    count = min(size, max(1, len(chosen) // 2))
    sources, driving = chosen[:count], chosen[count : 2 * count]
    return [(source, driver) for source in sources for driver in driving]


def animate_pairs(
    animator: Animator,
    test_set: TestSet,
    pairs: Sequence[tuple[int, int]],
    detectors: Detectors,
    truth: Truth,
    report: Path,
    system: str,
) -> tuple[dict[str, dict[str, Figure]], dict[str, str]]:
    """Animates pairs in both modes and writes REPORT/SYSTEM/animation-MODE.mp4, and a contact sheet of each.

    Args:
        animator: the model.
        test_set: the videos; the source is a video's first frame.
        pairs: (source, driving) indices of videos.
        detectors, truth: of keypoints and identities.
        report: the report's folder, in which that of the system is.
        system: its name.

    Returns:
        mode -> {"aed", "akd"} -> Figure over all frames, as far as there are detectors; and the sheets, caption ->
        path relative to the report.
    """
    figures, sheets = {}, {}
    for mode in MODES:
        animated = [
            _animate_pair(animator, test_set, pair, mode, detectors, truth, keep=number < _SHOWN_PAIRS)
            for number, pair in enumerate(tqdm(pairs, f"{system}, {mode}", unit="pair", disable=None))
        ]
        figures[mode] = _figures(animated)
        shown = list(zip(pairs, animated, strict=False))[:_SHOWN_PAIRS]
        tables = [_table(test_set, shown, t) for t in range(max(len(result.frames) for _, result in shown))]
        path = Path(system) / f"animation-{mode}"
        write_video(report / f"{path}.mp4", tables, fps=_FPS)
        columns = np.linspace(0, len(tables) - 1, min(_SHEET_COLUMNS, len(tables))).round().astype(int)
        labels = [f"frame {t}" for t in columns]
        cell = max(_LEAST_CELL_PX, *tables[0].shape[:2])
        sheet = contact_sheet([[tables[t] for t in columns]], column_labels=labels, cell_px=cell, padding=10)
        write_image(report / f"{path}.png", sheet)
        sheets[f"animation, {mode}"] = f"{path.as_posix()}.png"
    return figures, sheets


@dataclasses.dataclass(frozen=True)
class _Animated:
    """One pair's result: its frames where they are to be shown, and distances over frames."""

    frames: list[np.ndarray]
    distances: dict[str, np.ndarray]


def _animate_pair(
    animator: Animator,
    test_set: TestSet,
    pair: tuple[int, int],
    mode: str,
    detectors: Detectors,
    truth: Truth,
    *,
    keep: bool,
) -> _Animated:
    source, driving = pair
    length = min(FRAMES, test_set.videos.num_frames(driving))
    driver = (test_set.videos.frame(driving, t) for t in range(length))
    stream, frames = DetectionStream(detectors), []
    for frame in animator.animate(test_set.videos.frame(source, 0), driver, mode=mode):
        stream.add(frame)
        if keep:
            frames.append(frame)
    found, distances = stream.finish(), {}
    true_source, true_driving = truth.detections(source), truth.detections(driving)
    if found.identities is not None and true_source.identities is not None:
        first = true_source.identities
        repeated = Embeddings(first.vectors[:1].repeat(length, 0), first.present[:1].repeat(length))
        distances["aed"] = identity_distances(repeated, found.identities)
    if found.keypoints is not None and true_driving.keypoints is not None:
        wanted = Keypoints(true_driving.keypoints.points[:length], true_driving.keypoints.visible[:length])
        distances["akd"], _ = keypoint_distances(align(wanted, found.keypoints), found.keypoints)
    return _Animated(frames, distances)


def align(driving: Keypoints, result: Keypoints) -> Keypoints:
    """Moves and scales each frame's driving keypoints to the place and size that the figure has in the result.

    Place is the mean of the points visible in both, size their root mean square distance from it; there is no rotation,
    which is motion. Frames with fewer than two such points, or of no size, count as missing.

    Args:
        driving, result: points [T, N, 2].

    Returns:
        The driving keypoints in the result's pixels, visible where both were.
    """
    both = driving.visible & result.visible
    count = np.maximum(both.sum(1, keepdims=True), 1)[..., None]

    def normalised(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kept = np.where(both[..., None], points.astype(np.float64), 0)
        centre = kept.sum(1, keepdims=True) / count
        offsets = np.where(both[..., None], points - centre, 0)
        return offsets, centre, np.sqrt((offsets**2).sum((1, 2), keepdims=True) / count)

    offsets, _, size = normalised(driving.points)
    _, centre, wanted = normalised(result.points)
    usable = (both.sum(1) >= 2) & (size[:, 0, 0] > 0)
    aligned = offsets * (wanted / np.where(size > 0, size, 1)) + centre
    visible = both & usable[:, None]
    return Keypoints(np.where(visible[..., None], aligned, 0).astype(np.float32), visible)


def _figures(animated: Sequence[_Animated]) -> dict[str, Figure]:
    figures = {}
    for name in ("aed", "akd"):
        parts = [result.distances[name] for result in animated if name in result.distances]
        values = np.concatenate(parts) if parts else np.empty(0)
        if values.size:
            figures[name] = Figure(float(values.mean()), values.size, "frames")
    return figures


def _table(test_set: TestSet, shown: Sequence[tuple[tuple[int, int], _Animated]], t: int) -> np.ndarray:
    """One moment of all pairs: a grid with the sources on the left and the driving frames on top, or a row per pair."""
    videos, size = test_set.videos, test_set.image_size
    sources = list(dict.fromkeys(pair[0] for pair, _ in shown))
    drivers = list(dict.fromkeys(pair[1] for pair, _ in shown))
    results = {pair: result.frames[min(t, len(result.frames) - 1)] for pair, result in shown}

    def driving(index: int) -> np.ndarray:
        return videos.frame(index, min(t, FRAMES - 1, videos.num_frames(index) - 1))

    if len(results) == len(sources) * len(drivers):
        blank = np.full((size, size, 3), 255, np.uint8)
        rows = [[blank, *map(driving, drivers)]]
        rows += [[videos.frame(source, 0), *(results[source, driver] for driver in drivers)] for source in sources]
    else:
        rows = [[videos.frame(source, 0), driving(driver), image] for (source, driver), image in results.items()]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
