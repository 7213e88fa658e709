"""Cross-identity animation: figures moved by other figures' videos, side by side and in figures.

There is no true frame to compare with. What should stay is the source's identity: the identity distance is AED between
each result and the source. What should be carried over is the motion: the motion distance is AKD between each result
and its driving frame after the driving keypoints were moved and scaled to the result's place and size.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.detection.detectors import Detectors, Embeddings, Keypoints
from motion_transformer_jax.detection.keypoint_metrics import identity_distances, keypoint_distances
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.truth import Truth
from motion_transformer_jax.evaluation.video_measure import DetectionStream, mean_figures
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.reporting.results import Figure
from motion_transformer_jax.viz.sheet import contact_sheet

FPS = 25  # of everything that is written
FRAMES = 64  # of a driving video, at most
_SHOWN_SIDE = 6  # of a grid; all pairs are measured
_SHOWN_PAIRS = 16  # of a list
_SHEET_COLUMNS = 6
_LEAST_CELL_PX = 320


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
    """Animates pairs in each mode that the model knows, and writes REPORT/SYSTEM/animation-MODE.mp4 and .png.

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
    shown = _shown_pairs(pairs)
    for mode in ("relative", "absolute", *(["avd"] if animator.has_disentangler else [])):
        measured: dict[str, list[np.ndarray]] = {}
        results = {}
        for pair in tqdm(pairs, f"{system}, {mode}", unit="pair", disable=None):
            frames, distances = _animate_pair(animator, test_set, pair, mode, detectors, truth, keep=pair in shown)
            if frames:
                results[pair] = frames
            for name, values in distances.items():
                measured.setdefault(name, []).append(values)
        figures[mode] = mean_figures(measured)
        path = Path(system) / f"animation-{mode}"
        _write_tables(report / path, test_set, {pair: results[pair] for pair in shown})
        sheets[f"animation, {mode}"] = f"{path.as_posix()}.png"
    return figures, sheets


def _shown_pairs(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of a list that are kept and shown, each once; of a grid they are a grid again."""
    sources, drivers = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    grid = list(itertools.product(sources, drivers))
    if set(grid) == set(pairs):
        return list(itertools.product(sources[:_SHOWN_SIDE], drivers[:_SHOWN_SIDE]))
    return list(dict.fromkeys(pairs))[:_SHOWN_PAIRS]


def _write_tables(path: Path, test_set: TestSet, results: Mapping[tuple[int, int], Sequence[np.ndarray]]) -> None:
    """PATH.mp4 of all results side by side, and PATH.png of a few of its moments."""
    length = max(map(len, results.values()))
    write_video(path.with_suffix(".mp4"), (_table(test_set, results, t) for t in range(length)), fps=FPS)
    columns = np.linspace(0, length - 1, min(_SHEET_COLUMNS, length)).round().astype(int).tolist()
    moments = [_table(test_set, results, t) for t in columns]
    labels, cell = [f"frame {t}" for t in columns], max(_LEAST_CELL_PX, *moments[0].shape[:2])
    sheet = contact_sheet([moments], column_labels=labels, cell_px=cell, padding=10)
    write_image(path.with_suffix(".png"), sheet)


def _animate_pair(
    animator: Animator,
    test_set: TestSet,
    pair: tuple[int, int],
    mode: str,
    detectors: Detectors,
    truth: Truth,
    *,
    keep: bool,
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """One pair's result: its frames where they are to be kept, and distances over frames by name."""
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
    return frames, distances


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


def _table(test_set: TestSet, results: Mapping[tuple[int, int], Sequence[np.ndarray]], t: int) -> np.ndarray:
    """One moment of all pairs: a grid with the sources on the left and the driving frames on top, or a row per pair."""
    videos, size = test_set.videos, test_set.image_size
    sources, drivers = (list(dict.fromkeys(side)) for side in zip(*results, strict=True))
    images = {pair: frames[min(t, len(frames) - 1)] for pair, frames in results.items()}

    def driving(index: int) -> np.ndarray:
        return videos.frame(index, min(t, FRAMES - 1, videos.num_frames(index) - 1))

    if len(images) == len(sources) * len(drivers):
        blank = np.full((size, size, 3), 255, np.uint8)
        rows = [[blank, *map(driving, drivers)]]
        rows += [[videos.frame(source, 0), *(images[source, driver] for driver in drivers)] for source in sources]
    else:
        rows = [[videos.frame(source, 0), driving(driver), image] for (source, driver), image in images.items()]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
