"""What is measured of a video that streams by, in chunks, and the means over a test set."""

import numpy as np

from motion_transformer_jax.detection.detectors import Detectors, Embeddings, Keypoints
from motion_transformer_jax.evaluation.video_measure import Detections, VideoMeasure, mean_figures
from motion_transformer_jax.reporting.results import Figure


class Brightness:
    """Finds one point at a frame's value, unless that is 0, and an identity of one number."""

    name = "brightness"

    def detect(self, frames):
        value = frames[:, 0, 0, 0]
        return Keypoints(np.repeat(value[:, None, None], 2, axis=2).astype(np.float32), value[:, None] > 0)

    def embed(self, frames):
        value = frames[:, 0, 0, 0]
        return Embeddings(value[:, None].astype(np.float32), value > 0)


def frames(*values):
    return np.broadcast_to(np.uint8(values)[:, None, None, None], (len(values), 2, 2, 3))


def mean_difference(prediction, truth):
    return np.abs(prediction.astype(float) - truth).mean((1, 2, 3))


def test_every_frame_is_measured_against_its_own_truth():
    """More frames than a chunk has, and not a multiple of it; one without anything."""
    driving = frames(*range(1, 20))
    predictions = frames(*range(3, 21), 0)
    detectors = Detectors(Brightness(), Brightness())
    measure = VideoMeasure(detectors, mean_difference)
    for true, prediction in zip(driving, predictions, strict=True):
        measure.add(true, prediction, {"l1": float(true[0, 0, 0])})
    measured = measure.finish(Detections(Brightness().detect(driving), Brightness().embed(driving)))
    np.testing.assert_array_equal(measured["l1"], range(1, 20))
    np.testing.assert_array_equal(measured["lpips"], [2] * 18 + [19])
    np.testing.assert_array_equal(measured["akd"], [2] * 18)
    np.testing.assert_array_equal(measured["aed"], [4] * 18)
    np.testing.assert_array_equal(measured["mkr"], [0] * 18 + [1])


def test_means_are_over_frames_not_videos():
    measured = {"l1": [np.zeros(3), np.ones(1)], "akd": [np.empty(0), np.full(2, 5.0)], "aed": [np.empty(0)]}
    assert mean_figures(measured) == {"l1": Figure(0.25, 4, "frames"), "akd": Figure(5.0, 2, "frames with keypoints")}
