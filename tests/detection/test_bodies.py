"""Bodies by networks that the tests make: seventeen joints, all on the brightest spot of the frame."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from motion_transformer_jax.detection.bodies import JOINTS, BodyDetector, BodyEmbedder
from motion_transformer_jax.errors import UserError

HEIGHT, WIDTH = 64, 48  # RTMPose's shape, a quarter of its size


def save(path, image, nodes, outputs, **constants):
    """A network of (operator, inputs, output, attributes) nodes."""
    kind, shape = image
    graph = helper.make_graph(
        [helper.make_node(name, inputs, [output], **attributes) for name, inputs, output, attributes in nodes],
        "test",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


def save_simcc(path, y_first=False, num_joints=17, bins=2):
    """Two bins a pixel; scores of a column or row are its maximum."""
    nodes = [("ReduceMax", ["image"], "grey", {"axes": [1], "keepdims": 1})]
    constants = {}
    for name, axis, length in (("x", 2, WIDTH), ("y", 3, HEIGHT)):
        nodes += [
            ("ReduceMax", ["grey"], f"line_{name}", {"axes": [axis], "keepdims": 0}),
            ("Reshape", [f"line_{name}", f"column_{name}"], f"bins_{name}", {}),
            ("Expand", [f"bins_{name}", f"wide_{name}"], f"all_{name}", {}),
            ("Reshape", [f"all_{name}", f"flat_{name}"], f"simcc_{name}", {}),
        ]
        constants[f"column_{name}"] = np.array([1, 1, length, 1])
        constants[f"wide_{name}"] = np.array([1, num_joints, length, bins])
        constants[f"flat_{name}"] = np.array([1, num_joints, length * bins])
    outputs = ["simcc_y", "simcc_x"] if y_first else ["simcc_x", "simcc_y"]
    return save(path, (TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH]), nodes, outputs, **constants)


def save_heat_maps(path, num_joints=17):
    """A quarter of the input's size, as HRNet's."""
    nodes = [
        ("AveragePool", ["image"], "small", {"kernel_shape": [4, 4], "strides": [4, 4]}),
        ("ReduceMean", ["small"], "grey", {"axes": [1], "keepdims": 1}),
        ("Expand", ["grey", "shape"], "heat", {}),
    ]
    shape = np.array([1, num_joints, HEIGHT // 4, WIDTH // 4])
    return save(path, (TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH]), nodes, ["heat"], shape=shape)


def save_movenet(path, joints, kind=TensorProto.INT32):
    """Given joints; scores times the brightest pixel's share of 255."""
    nodes = [
        ("Cast", ["image"], "pixels", {"to": TensorProto.FLOAT}),
        ("ReduceMax", ["pixels"], "brightest", {"keepdims": 0}),
        ("Div", ["brightest", "full"], "share", {}),
        ("Mul", ["ones", "share"], "shares", {}),
        ("Mul", ["joints", "shares"], "out", {}),
    ]
    ones = np.ones((1, 1, 17, 3), np.float32)
    joints = np.array(joints, np.float32).reshape(1, 1, 17, 3)
    constants = {"full": np.float32(255), "ones": ones, "joints": joints}
    return save(path, (kind, [1, 32, 32, 3]), nodes, ["out"], **constants)


def spots(size):
    """Black frames of 96 pixels with a white square of `size` pixels at PLACES times that, its centre in them."""
    frames = np.zeros((len(PLACES), 96, 96, 3), np.uint8)
    for frame, (x, y) in zip(frames, PLACES, strict=True):
        frame[y * size : (y + 1) * size, x * size : (x + 1) * size] = 255
    return frames, np.repeat(np.array(PLACES)[:, None], 17, axis=1) * size


PLACES = [(2, 7), (5, 5), (11, 0)]


@pytest.mark.parametrize("y_first", [False, True])
def test_simcc(tmp_path, y_first):
    """A pixel of the input, which is as wide as half the frame's, is two of the frame's."""
    detector = BodyDetector(save_simcc(tmp_path / "rtmpose.onnx", y_first))
    frames, corners = spots(2)
    found = detector.detect(frames)
    assert found.points.shape == (3, 17, 2)
    assert found.points.dtype == np.float32
    assert found.visible.all()
    np.testing.assert_allclose(found.points, corners + 0.5, atol=1e-5)


def test_heat_maps(tmp_path):
    """A cell is four of the input's pixels, eight of the frame's; its first pixel counts, as in training."""
    detector = BodyDetector(save_heat_maps(tmp_path / "vitpose.onnx"))
    frames, corners = spots(8)
    found = detector.detect(frames)
    assert found.visible.all()
    np.testing.assert_allclose(found.points, corners + 0.5, atol=2.001)  # a quarter of a cell


def test_heat_maps_between_cells(tmp_path):
    """A quarter of a cell, four pixels of the input, towards the higher neighbour: one pixel."""
    detector = BodyDetector(save_heat_maps(tmp_path / "n.onnx"))
    frame = np.zeros((WIDTH, WIDTH, 3), np.uint8)  # as large as the input: below eight black rows
    frame[20:24, 20:24] = 255
    middle = detector.detect(frame[None]).points[0, 0]
    np.testing.assert_allclose(middle, [20, 20])
    frame[20:24, 24:26] = frame[18:20, 20:24] = 255
    np.testing.assert_allclose(detector.detect(frame[None]).points[0, 0], [21, 19])


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.FLOAT])
def test_movenet(tmp_path, kind):
    joints = np.zeros((17, 3))
    joints[:, 0], joints[:, 1], joints[:, 2] = 0.25, 0.75, 0.9  # y, x and score
    joints[3:, 2] = 0.29
    detector = BodyDetector(save_movenet(tmp_path / "movenet.onnx", joints, kind))
    found = detector.detect(np.full((1, 64, 64, 3), 255, np.uint8))
    assert found.visible[0].tolist() == [True] * 3 + [False] * 14
    # The frame's edges are 0 and 1, half a pixel beyond the centres of its first and last pixel.
    np.testing.assert_allclose(found.points[0, :3], [[47.5, 15.5]] * 3)
    assert not found.points[0, 3:].any()


@pytest.mark.parametrize("make", [save_simcc, save_heat_maps])
def test_joints_of_low_scores_are_missing(tmp_path, make):
    frames = np.zeros((2, 64, 64, 3), np.uint8)  # black is below zero after normalisation
    found = BodyDetector(make(tmp_path / "n.onnx")).detect(frames)
    assert not found.visible.any()
    assert not found.points.any()


def test_no_frames(tmp_path):
    found = BodyDetector(save_heat_maps(tmp_path / "n.onnx")).detect(np.zeros((0, 64, 64, 3), np.uint8))
    assert (found.points.shape, found.visible.shape) == ((0, 17, 2), (0, 17))


@pytest.mark.parametrize(
    ("make", "returned"),
    [
        (lambda path: save_simcc(path, num_joints=133), r"\[1, 133, 96\] and \[1, 133, 128\]"),
        (lambda path: save_heat_maps(path, num_joints=16), r"\[1, 16, 16, 12\]"),
        (lambda path: save_vector(path, 128), r"\[1, 128\]"),
    ],
    ids=["whole body", "MPII", "identity"],
)
def test_networks_of_other_things(tmp_path, make, returned):
    with pytest.raises(UserError, match=rf"n.onnx returns {returned}; expected COCO's joints .*RTMPose"):
        BodyDetector(make(tmp_path / "n.onnx"))


def test_names_and_joints(tmp_path):
    assert len(JOINTS) == 17
    assert JOINTS[5] == "left_shoulder"
    one, other = (
        BodyDetector(save_simcc(tmp_path / "n.onnx")).name,
        BodyDetector(save_heat_maps(tmp_path / "n.onnx")).name,
    )
    assert one != other


def save_vector(path, length, spatial=False):
    """The first pixels of the image."""
    nodes = [("Slice", ["flat", "start", "stop", "axis"], "vector", {})]
    nodes.insert(0, ("Flatten", ["image"], "flat", {}))
    if spatial:
        nodes.append(("Unsqueeze", ["vector", "axes"], "out", {}))
    return save(
        path,
        (TensorProto.FLOAT, [1, 3, 16, 8]),
        nodes,
        ["out" if spatial else "vector"],
        start=np.array([0]),
        stop=np.array([length]),
        axis=np.array([1]),
        axes=np.array([2, 3]),
    )


@pytest.mark.parametrize("spatial", [False, True])
def test_identities(tmp_path, spatial):
    embedder = BodyEmbedder(save_vector(tmp_path / "reid.onnx", 8, spatial))
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    frames[1] = 255
    found = embedder.embed(frames)
    assert found.present.all()
    assert found.vectors.dtype == np.float32
    black, white = -0.485 / 0.229, (1 - 0.485) / 0.229
    np.testing.assert_allclose(found.vectors, [[black] * 8, [white] * 8], atol=1e-5)


def test_identities_by_networks_of_other_things(tmp_path):
    with pytest.raises(UserError, match=r"n.onnx returns \[1, 17, 16, 12\]; expected one vector \[1, D\]"):
        BodyEmbedder(save_heat_maps(tmp_path / "n.onnx"))
