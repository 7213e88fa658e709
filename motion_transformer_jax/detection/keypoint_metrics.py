"""AKD, MKR and AED as FOMM's pose-evaluation defines them.

The definitions are those of `cmp_kp.py`, `cmp_with_missing.py` and `cmp.py` of
https://github.com/AliaksandrSiarohin/pose-evaluation, which the papers' tables were made with. The functions return one
number a frame, so that the mean over a test set is over frames, as there, not over videos.
"""

import numpy as np

from motion_transformer_jax.detection.detectors import Embeddings, Keypoints


def keypoint_distances(truth: Keypoints, found: Keypoints) -> tuple[np.ndarray, np.ndarray]:
    """Average keypoint distance (AKD) and missing keypoint rate (MKR) of each frame (`cmp_with_missing.py`).

    The distance of a frame is the mean of |difference| over the points visible in both and over x and y alike: not the
    Euclidean distance. Faces (`cmp_kp.py`) are the same, all points of a frame being visible or none.

    Args:
        truth: in the real video, `[T, N]` points.
        found: in the reconstructed one, as many.

    Returns:
        Distances in pixels, float64, of the n frames that have a point visible in both; and the shares in [0, 1] of
        the truth's visible points that were missed, float64, of the m frames in which the truth has any. n, m <= T.

    Raises:
        ValueError: not as many frames or points.
    """
    _check_equal(truth.points.shape, found.points.shape)
    both = truth.visible & found.visible
    differences = np.abs(truth.points - found.points).astype(np.float64).mean(-1)
    some = both.any(1)
    distances = np.where(both, differences, 0).sum(1)[some] / both.sum(1)[some]
    expected = truth.visible.any(1)
    missed = (truth.visible & ~found.visible).sum(1)
    return distances, missed[expected] / truth.visible.sum(1)[expected]


def identity_distances(truth: Embeddings, found: Embeddings) -> np.ndarray:
    """Average Euclidean distance (AED) of each frame (`cmp.py`): the sum of squared differences, in spite of its name.

    Args:
        truth: of the real video, `[T, D]`.
        found: of the reconstructed one, as many.

    Returns:
        float64 of the n <= T frames with somebody present in both.

    Raises:
        ValueError: not as many frames, or vectors of another length.
    """
    _check_equal(truth.vectors.shape, found.vectors.shape)
    both = truth.present & found.present
    return np.square((truth.vectors[both] - found.vectors[both]).astype(np.float64)).sum(-1)


def _check_equal(truth: tuple[int, ...], found: tuple[int, ...]) -> None:
    if truth != found:
        raise ValueError(f"detections of shape {found} cannot be compared with the truth's {truth}")
