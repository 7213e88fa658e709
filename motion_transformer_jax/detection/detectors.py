"""What finds keypoints and identities in frames, for AKD, MKR and AED: one small interface, four kinds behind it.

Frames are uint8 `[T, S, S, 3]`, RGB. Points are (x, y) in the frames' pixels; the centre of the first one is (0, 0).
"""

import dataclasses
from typing import Protocol

import numpy as np

from motion_transformer_jax.errors import UserError

DETECTOR_KINDS = ("faces", "bodies", "puppets", "none")


@dataclasses.dataclass(frozen=True)
class Keypoints:
    """Points found in the frames of a video.

    Attributes:
        points: float32 `[T, N, 2]`, pixels; 0 where not visible.
        visible: bool `[T, N]`, False where the detector missed the point.
    """

    points: np.ndarray
    visible: np.ndarray


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Who is in the frames of a video.

    Attributes:
        vectors: float32 `[T, D]`; 0 where not present.
        present: bool `[T]`, False where the detector found nobody.
    """

    vectors: np.ndarray
    present: np.ndarray


class KeypointDetector(Protocol):
    """Finds the same N keypoints in every frame.

    Attributes:
        name: changes when the results may; part of the cache's key.
    """

    name: str

    def detect(self, frames: np.ndarray) -> Keypoints:
        """Keypoints of frames uint8 `[T, S, S, 3]`, T >= 0; what is not found is not visible, never an error."""
        ...


class IdentityEmbedder(Protocol):
    """Describes who is in a frame: the nearer two vectors, the likelier the same person.

    Attributes:
        name: changes when the results may; part of the cache's key.
    """

    name: str

    def embed(self, frames: np.ndarray) -> Embeddings:
        """Embeddings of frames uint8 `[T, S, S, 3]`, T >= 0; who is not found is not present, never an error."""
        ...


@dataclasses.dataclass(frozen=True)
class Detectors:
    """What an evaluation measures motion and identity with.

    Attributes:
        keypoints: for AKD and MKR; None where there is none.
        identity: for AED; None where there is none.
    """

    keypoints: KeypointDetector | None
    identity: IdentityEmbedder | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names, as in `results.METRICS`, of what can be measured with these."""
        return (("akd", "mkr") if self.keypoints else ()) + (("aed",) if self.identity else ())


def create_detectors(kind: str, *, pose_onnx: str = "", identity_onnx: str = "") -> Detectors:
    """The detectors of a kind of data.

    Args:
        kind: one of DETECTOR_KINDS. "faces": 68 landmarks and identities by dlib; "bodies": COCO's 17 joints, and
            identities, by networks that the user has; "puppets": the coloured markers of our puppets; "none".
        pose_onnx: path of a pose network; bodies need one.
        identity_onnx: path of a person re-identification network; bodies without one have no AED.

    Raises:
        UserError: an unknown kind, a package that is not installed, a network that is missing or cannot be used, or a
            network for another kind than bodies.
    """
    if kind not in DETECTOR_KINDS:
        raise UserError(f"there is no detector {kind!r}; expected one of {', '.join(DETECTOR_KINDS)}")
    if kind != "bodies" and (pose_onnx or identity_onnx):
        raise UserError(f"{pose_onnx or identity_onnx}: only the detector 'bodies' takes networks, not {kind!r}")
    return _CREATE[kind](pose_onnx, identity_onnx)


# Each kind is imported when it is asked for: nobody needs the packages of all.
def _faces(_pose_onnx: str, _identity_onnx: str) -> Detectors:
    from motion_transformer_jax.detection.faces import FaceDetector

    detector = FaceDetector()
    return Detectors(detector, detector)


def _bodies(pose_onnx: str, identity_onnx: str) -> Detectors:
    from motion_transformer_jax.detection.bodies import BodyDetector, BodyEmbedder

    return Detectors(BodyDetector(pose_onnx), BodyEmbedder(identity_onnx) if identity_onnx else None)


def _puppets(_pose_onnx: str, _identity_onnx: str) -> Detectors:
    from motion_transformer_jax.detection.puppet_markers import MarkerDetector

    return Detectors(MarkerDetector(), None)


def _none(_pose_onnx: str, _identity_onnx: str) -> Detectors:
    return Detectors(None, None)


_CREATE = {"faces": _faces, "bodies": _bodies, "puppets": _puppets, "none": _none}
