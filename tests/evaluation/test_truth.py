import numpy as np

from motion_transformer_jax.data.video_sources import create_videos
from motion_transformer_jax.detection.detection_cache import DetectionCache
from motion_transformer_jax.detection.detectors import create_detectors
from motion_transformer_jax.detection.keypoint_metrics import keypoint_distances
from motion_transformer_jax.evaluation.test_set import TestSet
from motion_transformer_jax.evaluation.truth import Truth


def test_the_true_places_of_markers_are_those_that_the_detector_finds(tmp_path):
    videos = create_videos("test", kind="puppets", image_size=64, puppet_clips=2, puppet_frames=4, puppet_markers=True)
    test_set = TestSet("puppets", "test", 64, videos)
    detectors = create_detectors("puppets")
    truth = Truth(test_set, detectors, DetectionCache(tmp_path)).detections(1)
    found = detectors.keypoints.detect(np.stack([videos.frame(1, t) for t in range(4)]))
    distances, missed = keypoint_distances(truth.keypoints, found)
    assert distances.max() < 1 and missed.mean() < 0.05
    assert truth.identities is None
