"""How much a model's keypoints know of the true joints: ridge regression from the former to the latter.

The measure of unsupervised keypoints (Thewlis et al., ICCV 2017; Jakab et al., NeurIPS 2018): a linear map from
keypoints to annotated joints, fitted on the training split, measured on the test split. The better a model's keypoints
follow the body, whatever points of it they chose, the smaller the error. Only visible joints count.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from motion_transformer_jax.data.video_sources import AnnotatedVideos
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.reporting.results import Figure

STRENGTH = 1e-4  # of the ridge; keypoints move by some tenths, a variance of some hundredths


@dataclass(frozen=True)
class Regression:
    """A linear map to each joint, with an intercept, float64.

    Attributes:
        weights: [J, F, 2].
        offset: [J, 2]; NaN for a joint that no frame showed.
        mean_joints: [J, 2], mean over the frames that show the joint: the guess of who sees no keypoints.
    """

    weights: np.ndarray
    offset: np.ndarray
    mean_joints: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Joints [T, J, 2] from features [T, F]."""
        return np.einsum("tf,jfc->tjc", np.asarray(features, np.float64), self.weights) + self.offset


def motion_features(motion: Motion, *, with_affine: bool = False) -> np.ndarray:
    """What the regression sees of Motions [T, K, 2]: [T, 2 K], and the affines' entries behind it, [T, 6 K], if asked.

    As they are, not standardised: keypoints have one unit, in which the ridge takes all of them alike.
    """
    parts = [motion.keypoints, motion.affine] if with_affine else [motion.keypoints]
    return np.concatenate([np.reshape(part, (len(part), -1)) for part in parts], 1).astype(np.float64)


def fit_ridge(features: np.ndarray, joints: np.ndarray, visible: np.ndarray, *, strength: float) -> Regression:
    """Minimises, for each joint over the frames that show it, mean |joint - map(features)|^2 + strength |weights|^2.

    The intercept is free. In closed form, in float64.

    Args:
        features: [T, F].
        joints: [T, J, 2]; hidden ones may hold anything.
        visible: bool [T, J].
        strength: of the ridge, above 0, in the features' unit squared, however many frames there are.

    Raises:
        ValueError: strength is not above 0, or there is not one row for each frame.
    """
    if not strength > 0:
        raise ValueError(f"strength={strength}: expected more than 0")
    if not len(features) == len(joints) == len(visible):
        raise ValueError(f"{len(features)} rows of features, {len(joints)} of joints, {len(visible)} of visibility")
    features = np.asarray(features, np.float64)
    maps = [_fit_joint(features[seen], joints[seen, j], strength) for j, seen in enumerate(np.asarray(visible).T)]
    return Regression(*(np.stack(column) for column in zip(*maps, strict=True)))


def _fit_joint(features: np.ndarray, places: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [F, 2], offset [2] and mean [2] from features [N, F] and places [N, 2]."""
    count, num_features = features.shape
    if not count:
        unknown = np.full(2, np.nan)
        return np.zeros((num_features, 2)), unknown, unknown
    mean_features, mean = features.mean(0), np.asarray(places, np.float64).mean(0)
    centred = features - mean_features
    gram = centred.T @ centred / count + strength * np.eye(num_features)
    weights = np.linalg.solve(gram, centred.T @ (places - mean) / count)
    return weights, mean - mean_features @ weights, mean


def figure_sizes(joints: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Diagonal of the box around the visible joints of each frame, [T], in the joints' unit; NaN without an extent."""
    shown = visible[..., None]
    extent = np.where(shown, joints, -np.inf).max(1) - np.where(shown, joints, np.inf).min(1)
    diagonal = np.hypot(*np.maximum(extent, 0).T)
    return np.where(diagonal > 0, diagonal, np.nan)


def regression_errors(
    predicted: np.ndarray, joints: np.ndarray, visible: np.ndarray, *, image_size: int
) -> dict[str, Figure]:
    """Distances between predicted and true joints, mean over all visible joints of all frames.

    Args:
        predicted, joints: [T, J, 2] `(x, y)` in [-1, 1], the centres of the corner pixels; predictions [J, 2] stand for
            every frame; what is NaN is left out.
        visible: bool [T, J].
        image_size: of the frames, pixels.

    Returns:
        "error_px", in pixels, and "error_share", as a share of the figure's size (`figure_sizes`) in that frame; NaN
        where nothing can be measured.
    """
    distance = np.linalg.norm(np.asarray(predicted, np.float64) - joints, axis=-1)
    share = distance / figure_sizes(np.asarray(joints, np.float64), visible)[:, None]
    return {
        "error_px": _mean(distance * (image_size - 1) / 2, visible),
        "error_share": _mean(share, visible),
    }


def _mean(values: np.ndarray, counted: np.ndarray) -> Figure:
    values = values[counted & np.isfinite(values)]
    return Figure(float(values.mean()) if len(values) else float("nan"), len(values), "joints")


def measure_regression(
    estimate_motions: Callable[[Iterable[np.ndarray]], Iterable[Motion]],
    train_videos: AnnotatedVideos,
    test_videos: AnnotatedVideos,
    *,
    frames_per_video: int,
    strength: float = STRENGTH,
    with_affine: bool = False,
    progress: bool = True,
) -> dict[str, Figure]:
    """Fits on the training videos, measures on the test videos.

    Args:
        estimate_motions: streams a Motion [1, K, 2] for each frame, such as `Animator.estimate_motions`.
        train_videos, test_videos: with true joints; frames of one size.
        frames_per_video: evenly spaced, or all where a video has fewer.
        strength: of the ridge; see `fit_ridge`.
        with_affine: regress from the affines as well.
        progress: show a bar, when standard error is a terminal.

    Returns:
        `regression_errors` on the test videos, and beside them, as "training_mean_px" and "training_mean_share", the
        errors of guessing every joint at its mean place in the training videos.
    """

    def collect(videos: AnnotatedVideos, title: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = _choose_frames(videos, frames_per_video)
        frames = tqdm(_frames(videos, chosen), title, len(chosen), unit="frame", disable=None if progress else True)
        motions = estimate_motions(frames)
        features = np.concatenate([motion_features(motion, with_affine=with_affine) for motion in motions])
        return features, *_annotations(videos, chosen)

    regression = fit_ridge(*collect(train_videos, "keypoints of the training split"), strength=strength)
    features, joints, visible = collect(test_videos, "keypoints of the test split")
    image_size = len(test_videos.frame(0, 0))
    errors = regression_errors(regression.predict(features), joints, visible, image_size=image_size)
    guesses = regression_errors(regression.mean_joints, joints, visible, image_size=image_size)
    return errors | {name.replace("error", "training_mean"): figure for name, figure in guesses.items()}


def _choose_frames(videos: AnnotatedVideos, frames_per_video: int) -> list[tuple[int, int]]:
    """(video, time) of frames evenly spaced over each video."""
    chosen = []
    for video in range(len(videos.names)):
        count = videos.num_frames(video)
        times = np.linspace(0, count - 1, min(frames_per_video, count)).round().astype(int)
        chosen += [(video, t) for t in times.tolist()]
    return chosen


def _frames(videos: AnnotatedVideos, chosen: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    return (videos.frame(video, t) for video, t in chosen)


def _annotations(videos: AnnotatedVideos, chosen: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Joints [N, J, 2] and visibility [N, J] of the chosen frames."""
    parts = []
    for video, places in itertools.groupby(chosen, key=lambda place: place[0]):
        times = [t for _, t in places]
        parts.append([values[times] for values in videos.annotations(video)])
    joints, visible = (np.concatenate(column) for column in zip(*parts, strict=True))
    return joints, visible
