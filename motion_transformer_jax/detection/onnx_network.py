"""Networks in ONNX files: opened once, run on one image at a time."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from motion_transformer_jax.errors import UserError, install_hint

# ImageNet's mean and standard deviation of R, G, B in [0, 1].
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_NORMALISED = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_INPUT_TYPES = {**_NORMALISED, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8}
_ERRORS_ONLY = 3  # ONNX Runtime's severity: its warnings are for those who make networks


class OnnxNetwork:
    """A network of one image.

    Attributes:
        name: the file's name and a digest of its content.
        channels_last: whether the input is `[1, h, w, 3]` with pixels in [0, 255], as TensorFlow's are; else it is
            `[1, 3, h, w]`, normalised by ImageNet's statistics, as PyTorch's are.
        height, width: of the input in pixels.
        output_names: in order.
    """

    def __init__(self, path: str | Path):
        """Open a file, on a GPU where ONNX Runtime has one.

        Raises:
            UserError: there is no such file, it is no network, takes something else than one RGB image of a fixed
                size, or ONNX Runtime is not installed.
        """
        self._path = Path(path)
        if not self._path.is_file():
            raise UserError(f"there is no file {path}; expected a network as an ONNX file")
        self.name = f"{self._path.stem}-{hashlib.sha256(self._path.read_bytes()).hexdigest()[:16]}"
        self._session = _open(self._path)
        self._input, self._dtype, size, self.channels_last = _image_input(self._path, self._session)
        self.height, self.width = size
        self.output_names = [output.name for output in self._session.get_outputs()]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs, float32 and of batch size 1, for an image uint8 `[height, width, 3]`, RGB.

        Raises:
            UserError: the network fails on it.
        """
        pixels = image.astype(np.float32)
        if not self.channels_last:
            pixels = np.moveaxis((pixels / 255 - _MEAN) / _STD, -1, 0)
        try:
            outputs = self._session.run(None, {self._input: np.ascontiguousarray(pixels[None], self._dtype)})
        except Exception as error:  # ONNX Runtime's exceptions have no class in common
            raise UserError(f"{self._path} fails on an image: {_first_line(error)}; export it anew") from error
        return [np.asarray(output, np.float32) for output in outputs]


def _open(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs ONNX Runtime; {install_hint('eval')}") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    providers = [name for name in onnxruntime.get_available_providers() if name != "AzureExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(path, options, providers)
    except Exception as error:  # as above
        raise UserError(f"{path} cannot be used as an ONNX network: {_first_line(error)}") from error


def _image_input(path: Path, session: Any) -> tuple[str, type, tuple[int, int], bool]:
    """Name, type, (height, width) and whether channels are last."""
    inputs = session.get_inputs()
    found = ", ".join(f"{node.type}{node.shape}" for node in inputs)
    mistake = UserError(
        f"{path} takes {found}; expected one image [1, 3, height, width] or [1, height, width, 3] of a fixed size"
    )
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _INPUT_TYPES:
        raise mistake
    batch, *shape = inputs[0].shape
    channels_last = shape[2] == 3 and shape[0] != 3
    size = tuple(shape[:2] if channels_last else shape[1:])
    if not channels_last and (shape[0] != 3 or inputs[0].type not in _NORMALISED):
        raise mistake
    if isinstance(batch, int) and batch != 1:
        raise mistake
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise mistake
    return inputs[0].name, _INPUT_TYPES[inputs[0].type], size, channels_last


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
