"""Bodies by networks that the user has: COCO's 17 joints, and identities, from ONNX files.

Three families of pose networks are told apart by what they return for an image:

    SimCC       [1, 17, Wx] and [1, 17, Wy]     RTMPose: scores of x and of y apart, finer than pixels
    heat maps   [1, 17, h, w]                   HRNet, SimpleBaseline, ViTPose
    joints      [1, 1, 17, 3]                   MoveNet: y, x in [0, 1] and the score

The frame is taken as the person's box: the datasets' frames are crops around one person, with about the margin (a
quarter more than the person) that these networks were trained with.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from motion_transformer_jax.detection.detectors import Embeddings, Keypoints
from motion_transformer_jax.detection.onnx_network import OnnxNetwork
from motion_transformer_jax.errors import UserError

# In COCO's order: their places are the keypoints' indices.
# fmt: off
JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)
# fmt: on

# Joints that a network is less sure of are missing. MoveNet's authors advise it, and MMPose's demos draw from it on.
MIN_SCORE = 0.3

_WHERE = (
    "body poses need a network: RTMPose (MMPose's model zoo, ONNX files of body7 or coco, 17 keypoints), ViTPose or "
    "HRNet exported to ONNX, or MoveNet (singlepose)"
)


class BodyDetector:
    """Seventeen joints by a pose network: a KeypointDetector.

    Attributes:
        name: of the network's file and its content.
    """

    def __init__(self, path: str):
        """Open a network and try it on a black image.

        Raises:
            UserError: no path, no such file, or no pose network of a known family with COCO's 17 joints.
        """
        if not path:
            raise UserError(f"{_WHERE}; none is given; name its file with --pose-onnx")
        self._network = OnnxNetwork(path)
        self._families = {"simcc": self._from_simcc, "heat maps": self._from_heat_maps, "joints": self._from_joints}
        size = self._network.height, self._network.width
        self._family = _family(path, self._network, self._network.run(np.zeros((*size, 3), np.uint8)))
        self.name = f"pose-{self._network.name}-{MIN_SCORE}"

    def detect(self, frames: np.ndarray) -> Keypoints:
        """COCO's joints of frames uint8 `[T, S, S, 3]`, those of a score of MIN_SCORE at least."""
        points = np.zeros((len(frames), len(JOINTS), 2), np.float32)
        visible = np.zeros(points.shape[:2], bool)
        for t, frame in enumerate(frames):
            image, scale, left, top = _fit(frame, self._network.height, self._network.width)
            found, scores = self._families[self._family](self._network.run(image))
            visible[t] = scores >= MIN_SCORE
            points[t] = (found - (left, top) + 0.5) / scale - 0.5
        return Keypoints(points * visible[..., None], visible)

    def _from_simcc(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of the network's input `[17, 2]`, and scores `[17]`."""
        bins = [output[0] for output in _x_first(self._network, outputs)]
        sizes = self._network.width, self._network.height
        points = np.stack(
            [scores.argmax(1) * (size / scores.shape[1]) for scores, size in zip(bins, sizes, strict=True)], -1
        )
        return points, np.minimum(bins[0].max(1), bins[1].max(1))

    def _from_heat_maps(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As `_from_simcc`; a quarter of a cell towards the higher neighbour, as SimpleBaseline's authors do."""
        maps = outputs[0][0]
        height, width = maps.shape[1:]
        ys, xs = np.divmod(maps.reshape(len(maps), -1).argmax(1), width)
        points = np.stack([xs, ys], -1).astype(np.float32)
        for joint, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if 0 < x < width - 1 and 0 < y < height - 1:
                slopes = maps[joint, y, x + 1] - maps[joint, y, x - 1], maps[joint, y + 1, x] - maps[joint, y - 1, x]
                points[joint] += np.sign(slopes) / 4
        return points * (self._network.width / width, self._network.height / height), maps.max((1, 2))

    def _from_joints(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As `_from_simcc`."""
        joints = outputs[0][0, 0]
        return joints[:, 1::-1] * (self._network.width, self._network.height) - 0.5, joints[:, 2]


class BodyEmbedder:
    """Identities by a person re-identification network, `[1, 3, h, w]` to `[1, D]`: an IdentityEmbedder.

    The whole frame, stretched to the network's size, is embedded, as `extract.py` of FOMM's pose-evaluation does;
    somebody is taken to be in every frame.

    Attributes:
        name: of the network's file and its content.
    """

    def __init__(self, path: str):
        """Open a network and try it on a black image.

        Raises:
            UserError: no such file, or it returns something else than one vector.
        """
        self._network = OnnxNetwork(path)
        size = self._network.height, self._network.width
        outputs = self._network.run(np.zeros((*size, 3), np.uint8))
        if len(outputs) != 1 or outputs[0].ndim < 2 or outputs[0].size != outputs[0].shape[1]:
            raise UserError(f"{path} returns {_shapes(outputs)}; expected one vector [1, D] that describes a person")
        self._length = outputs[0].size
        self.name = f"identity-{self._network.name}"

    def embed(self, frames: np.ndarray) -> Embeddings:
        """Vectors, as the network returns them, of frames uint8 `[T, S, S, 3]`."""
        vectors = np.zeros((len(frames), self._length), np.float32)
        size = self._network.width, self._network.height
        for t, frame in enumerate(frames):
            image = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
            vectors[t] = self._network.run(np.asarray(image))[0].reshape(-1)
        return Embeddings(vectors, np.ones(len(frames), bool))


def _family(path: str | Path, network: OnnxNetwork, outputs: list[np.ndarray]) -> str:
    shapes = [output.shape for output in outputs]
    joints = len(JOINTS)
    if len(shapes) == 2 and all(len(shape) == 3 and shape[:2] == (1, joints) for shape in shapes):
        x, y = _x_first(network, outputs)
        if x.shape[2] * network.height == y.shape[2] * network.width:  # as many bins a pixel
            return "simcc"
    if shapes == [(1, 1, joints, 3)]:
        return "joints"
    if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][:2] == (1, joints):
        return "heat maps"
    raise UserError(
        f"{path} returns {_shapes(outputs)}; expected COCO's joints as SimCC [1, {joints}, Wx] and [1, {joints}, Wy], "
        f"as heat maps [1, {joints}, h, w] or as [1, 1, {joints}, 3]; {_WHERE}"
    )


def _x_first(network: OnnxNetwork, outputs: list[np.ndarray]) -> list[np.ndarray]:
    return outputs[::-1] if network.output_names[0].endswith("_y") else outputs


def _fit(frame: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float, int, int]:
    """The square frame amid black, not stretched; (image, scale, left, top)."""
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = np.zeros((height, width, 3), np.uint8)
    scaled = Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR)
    image[top : top + side, left : left + side] = np.asarray(scaled)
    return image, side / len(frame), left, top


def _shapes(outputs: list[np.ndarray]) -> str:
    return " and ".join(str(list(output.shape)) for output in outputs)
