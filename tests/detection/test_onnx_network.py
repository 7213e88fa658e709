"""Networks in ONNX files: what they are given, and files that cannot be used."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from motion_transformer_jax.detection.onnx_network import OnnxNetwork
from motion_transformer_jax.errors import UserError

FLOAT = TensorProto.FLOAT


def save(path, inputs, nodes, outputs, constants=()):
    """A network of nodes; inputs and outputs are (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "test", *values, initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return str(path)


def identity(path, shape, kind=FLOAT, out_kind=None):
    node = helper.make_node("Identity", ["image"], ["out"])
    return save(path, [("image", kind, shape)], [node], [("out", out_kind or kind, None)])


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_channels_first_are_normalised(tmp_path, image, batch):
    network = OnnxNetwork(identity(tmp_path / "n.onnx", [batch, 3, 4, 6]))
    assert (network.height, network.width, network.channels_last) == (4, 6, False)
    (given,) = network.run(image)
    assert given.shape == (1, 3, 4, 6)
    expected = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(given[0].transpose(1, 2, 0), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.UINT8, FLOAT])
def test_channels_last_are_pixels(tmp_path, image, kind):
    network = OnnxNetwork(identity(tmp_path / "n.onnx", [1, 4, 6, 3], kind))
    assert (network.height, network.width, network.channels_last) == (4, 6, True)
    (given,) = network.run(image)
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given[0], image)


def test_half_precision(tmp_path, image):
    (given,) = OnnxNetwork(identity(tmp_path / "n.onnx", [1, 3, 4, 6], TensorProto.FLOAT16)).run(image)
    assert given.dtype == np.float32
    assert np.isfinite(given).all()


def test_names_change_with_the_content(tmp_path):
    names = [OnnxNetwork(identity(tmp_path / "n.onnx", [1, 3, size, 8])).name for size in (8, 9, 8)]
    assert names[0] == names[2] != names[1]
    assert names[0].startswith("n-")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ([1, 3, "h", "w"], FLOAT),
        ([1, 1, 4, 6], FLOAT),
        ([8, 3, 4, 6], FLOAT),
        ([1, 3], FLOAT),
        ([1, 3, 4, 6], TensorProto.INT32),
        ([1, 4, 6, 3], TensorProto.INT64),
    ],
)
def test_inputs_that_are_no_image(tmp_path, shape, kind):
    path = identity(tmp_path / "n.onnx", shape, kind)
    with pytest.raises(UserError, match=r"n.onnx takes tensor\(.*; expected one image .* of a fixed size"):
        OnnxNetwork(path)


def test_two_inputs(tmp_path):
    node = helper.make_node("Add", ["a", "b"], ["out"])
    inputs = [(name, FLOAT, [1, 3, 4, 6]) for name in "ab"]
    with pytest.raises(UserError, match="expected one image"):
        OnnxNetwork(save(tmp_path / "n.onnx", inputs, [node], [("out", FLOAT, None)]))


def test_networks_that_fail(tmp_path, image):
    """On images, not when they are opened."""
    node = helper.make_node("Reshape", ["image", "shape"], ["out"])
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [5])
    path = save(tmp_path / "n.onnx", [("image", FLOAT, ["n", 3, 4, 6])], [node], [("out", FLOAT, None)], [shape])
    with pytest.raises(UserError, match=r"n.onnx fails on an image: "):
        OnnxNetwork(path).run(image)


@pytest.mark.parametrize("absolute", [False, True])
def test_weights_outside_of_the_networks_folder_are_not_read(tmp_path, absolute):
    """ONNX files may name other files that hold their weights."""
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 9))
    weights = helper.make_tensor("weights", FLOAT, [3, 3, 1, 1], bytes(4 * 9), raw=True)
    place = str(tmp_path / "secret.bin") if absolute else "../secret.bin"
    set_external_data(weights, place, offset=0, length=4 * 9)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    node = helper.make_node("Conv", ["image", "weights"], ["out"])
    inputs, outputs = [("image", FLOAT, [1, 3, 4, 6])], [("out", FLOAT, None)]
    path = save(tmp_path / "in" / "n.onnx", inputs, [node], outputs, [weights])
    with pytest.raises(UserError, match=r"n\.onnx cannot be used as an ONNX network: "):
        OnnxNetwork(path)


def test_files_that_are_no_networks(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"there is no file .*none.onnx; expected a network"):
        OnnxNetwork(tmp_path / "none.onnx")
    (tmp_path / "n.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"n.onnx cannot be used as an ONNX network: ") as caught:
        OnnxNetwork(tmp_path / "n.onnx")
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs ONNX Runtime; pip install '.*\[eval\]'"):
        OnnxNetwork(tmp_path / "n.onnx")
