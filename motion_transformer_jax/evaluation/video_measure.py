"""All that is measured of one reconstructed video, while it streams by."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from motion_transformer_jax.detection.detectors import Detectors, Embeddings, Keypoints
from motion_transformer_jax.detection.keypoint_metrics import identity_distances, keypoint_distances
from motion_transformer_jax.evaluation.perceptual import PerceptualDistance
from motion_transformer_jax.inference.batching import pad_batch
from motion_transformer_jax.reporting.results import Figure

_CHUNK = 16  # frames that detectors see at once
_UNITS = {"akd": "frames with keypoints", "mkr": "frames with true keypoints", "aed": "frames with both identities"}


@dataclasses.dataclass(frozen=True)
class Detections:
    """What the detectors found in a video; None where there is no such detector."""

    keypoints: Keypoints | None = None
    identities: Embeddings | None = None


class DetectionStream:
    """Runs detectors over a video that is never held as a whole."""

    def __init__(self, detectors: Detectors):
        self._detectors = detectors
        self._frames: list[np.ndarray] = []
        self._keypoints: list[Keypoints] = []
        self._identities: list[Embeddings] = []

    def add(self, frame: np.ndarray) -> None:
        """Takes the next frame, uint8 [S, S, 3]."""
        self._frames.append(frame)
        if len(self._frames) == _CHUNK:
            self._detect()

    def finish(self) -> Detections:
        """What was found in all frames."""
        if self._frames:
            self._detect()
        return Detections(joined(self._keypoints), joined(self._identities))

    def _detect(self) -> None:
        frames = np.stack(self._frames)
        self._frames.clear()
        if self._detectors.keypoints is not None:
            self._keypoints.append(self._detectors.keypoints.detect(frames))
        if self._detectors.identity is not None:
            self._identities.append(self._detectors.identity.embed(frames))


def joined(parts: list):
    """Keypoints or Embeddings of consecutive frames as one; None where there are none."""
    if not parts:
        return None
    fields = [field.name for field in dataclasses.fields(parts[0])]
    return type(parts[0])(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


class VideoMeasure:
    """Collects a video's measurements, each an array over frames.

    Attributes:
        found: what the detectors found in the predictions, once it is finished.
    """

    def __init__(self, detectors: Detectors, lpips: PerceptualDistance | None):
        self.found = Detections()
        self._lpips = lpips
        self._found = DetectionStream(detectors)
        self._metrics: dict[str, list] = {}
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, driving: np.ndarray, prediction: np.ndarray, metrics: Mapping[str, float]) -> None:
        """Takes the next frame: truth and prediction, uint8 [S, S, 3], and what the device measured."""
        for name, value in metrics.items():
            self._metrics.setdefault(name, []).append(value)
        self._found.add(prediction)
        if self._lpips is not None:
            self._pending.append((prediction, driving))
            if len(self._pending) == _CHUNK:
                self._measure_lpips()

    def finish(self, truth: Detections) -> dict[str, np.ndarray]:
        """All measurements, name of METRICS -> [n]; one for each frame of which it can be taken."""
        if self._pending:
            self._measure_lpips()
        self.found = found = self._found.finish()
        measured = {name: np.asarray(values, np.float64) for name, values in self._metrics.items()}
        if truth.keypoints is not None and found.keypoints is not None:
            measured["akd"], measured["mkr"] = keypoint_distances(truth.keypoints, found.keypoints)
        if truth.identities is not None and found.identities is not None:
            measured["aed"] = identity_distances(truth.identities, found.identities)
        return measured

    def _measure_lpips(self) -> None:
        predictions, truths = (pad_batch(list(frames), _CHUNK) for frames in zip(*self._pending, strict=True))
        distances = np.asarray(self._lpips(predictions, truths))[: len(self._pending)]
        self._pending.clear()
        self._metrics.setdefault("lpips", []).extend(distances.tolist())


def mean_figures(measured: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Figure]:
    """The means over all frames, as the official code takes them: videos weigh by their length.

    Args:
        measured: name of METRICS -> an array over frames for each video.

    Returns:
        name -> Figure; what no frame has is left out.
    """
    values = {name: np.concatenate(arrays) for name, arrays in measured.items() if arrays}
    return {
        name: Figure(float(array.mean()), array.size, _UNITS.get(name, "frames"))
        for name, array in values.items()
        if array.size
    }
