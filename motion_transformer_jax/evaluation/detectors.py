"""What detectors find in frames."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Keypoints:
    """Points of T frames: float32 [T, N, 2] in pixels, 0 where `visible`, bool [T, N], is not."""

    points: np.ndarray
    visible: np.ndarray
