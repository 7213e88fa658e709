"""Landmarks and identities on the astronaut of scikit-image, and on frames without a face."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.detection.faces import FaceDetector

# Read off the picture by eye, in pixels of the crop at 128: outer corners of the eyes, tip of the nose, chin.
LANDMARKS = {36: (49.5, 50), 45: (79.5, 52), 30: (65, 63), 8: (62, 89)}


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def face():
    """uint8 `[256, 256, 3]`."""
    return skimage.data.astronaut()[:256, 96:352]


@pytest.mark.parametrize("size", [64, 128, 400])
def test_landmarks_are_in_the_frames_pixels(detector, face, size):
    found = detector.detect(resize_image(face, (size, size))[None])
    assert found.points.dtype == np.float32
    assert found.points.shape == (1, 68, 2)
    assert found.visible.all()
    in_128 = (found.points[0] + 0.5) * 128 / size - 0.5
    for index, point in LANDMARKS.items():
        np.testing.assert_allclose(in_128[index], point, atol=2.5, err_msg=str(index))


def test_frames_without_a_face_are_missing(detector, face):
    frames = np.zeros((3, 128, 128, 3), np.uint8)
    frames[1] = resize_image(face, (128, 128))
    found = detector.detect(frames)
    assert found.visible.all(1).tolist() == found.visible.any(1).tolist() == [False, True, False]
    assert not found.points[[0, 2]].any()
    who = detector.embed(frames)
    assert who.present.tolist() == [False, True, False]
    assert who.vectors.shape == (3, 128)
    assert not who.vectors[[0, 2]].any()
    assert who.vectors[1].any()


def test_no_frames(detector):
    frames = np.zeros((0, 64, 64, 3), np.uint8)
    assert detector.detect(frames).points.shape == (0, 68, 2)
    assert detector.detect(frames).visible.shape == (0, 68)
    assert detector.embed(frames).vectors.shape == (0, 128)


def test_the_largest_face_counts(detector, face):
    frame = np.full((256, 256, 3), 128, np.uint8)
    frame[:100, :100] = resize_image(face, (100, 100))
    frame[96:, 96:] = resize_image(face, (160, 160))
    assert (detector.detect(frame[None]).points.min(1) > 96).all()
    assert (detector.detect(frame[None, ::1, ::-1]).points.max(1)[:, 0] < 160).all()


def test_a_face_is_nearer_to_itself_than_to_another(detector, face):
    """0.6 is where dlib's author draws the line."""
    other = resize_image(face, (128, 128))
    other = np.asarray(Image.fromarray(other[:, :, ::-1]).resize((128, 100)))  # blue, and half as wide again
    frames = np.full((3, 128, 128, 3), 128, np.uint8)
    frames[0] = resize_image(face, (128, 128))
    frames[1] = frames[0] // 2
    frames[2, 14:114] = other
    vectors = detector.embed(frames).vectors
    same, different = np.linalg.norm(vectors[1:] - vectors[0], axis=1)
    assert same < 0.3
    assert different > same


def test_faces_are_looked_for_once(detector, face, monkeypatch):
    frames = np.stack([resize_image(face, (96, 96))] * 2)
    calls = []
    find = detector._find_faces
    monkeypatch.setattr(detector, "_find_faces", lambda image: calls.append(image.shape) or find(image))
    detector.detect(frames)
    detector.embed(frames)
    assert calls == [(384, 384, 3)] * 2
    detector.detect(255 - frames)
    assert len(calls) == 4
