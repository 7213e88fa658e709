"""What is true of the test set: joints where they are known, else what the detectors find in the true frames."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import Detectors
from motion_transformer_jax.detection.puppet_markers import MarkerDetector, true_keypoints
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.video_measure import Detections, joined

_CACHED_FRAMES = 256  # in an entry of the cache


class Truth:
    """Keypoints and identities of the true frames, found once for all systems, and of real videos once for all time."""

    def __init__(self, test_set: TestSet, detectors: Detectors, cache: DetectionCache):
        """Prepares; nothing is detected before it is asked for.

        Args:
            test_set: the videos; where markers are looked for and the true joints are known, no detector runs.
            detectors: of keypoints and identities.
            cache: of detections in real videos.
        """
        self._test_set, self._detectors, self._cache = test_set, detectors, cache
        self._known: dict[int, Detections] = {}

    def detections(self, index: int) -> Detections:
        """Of the frames of a video of the test set."""
        if index not in self._known:
            marked = isinstance(self._detectors.keypoints, MarkerDetector)
            known = marked and self._test_set.annotated
            self._known[index] = self._annotated(index) if known else self._detected(index)
        return self._known[index]

    def _annotated(self, index: int) -> Detections:
        return Detections(true_keypoints(*self._test_set.videos.annotations(index), self._test_set.image_size))

    def _detected(self, index: int) -> Detections:
        keypoints, identities = [], []
        for start, frames in self._chunks(index):
            name = f"{self._test_set.videos.names[index]} {start}"
            if self._detectors.keypoints is not None:
                keypoints.append(self._cache.detect(self._detectors.keypoints, name, frames))
            if self._detectors.identity is not None:
                identities.append(self._cache.embed(self._detectors.identity, name, frames))
        return Detections(joined(keypoints), joined(identities))

    def _chunks(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """A video's frames, uint8 [n, S, S, 3], behind the index of the first; whole long videos need not fit."""
        if self._detectors.keypoints is None and self._detectors.identity is None:
            return
        frames = self._test_set.frames(index)
        start = 0
        while chunk := list(islice(frames, _CACHED_FRAMES)):
            yield start, np.stack(chunk)
            start += len(chunk)
