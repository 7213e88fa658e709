"""VGG19's ImageNet weights: from a torchvision file, from its cache, or downloaded."""

from pathlib import Path

import numpy as np

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.vgg import TAPPED_CONVOLUTIONS
from motion_transformer_jax.torch_io.hub import cached_path, download
from motion_transformer_jax.torch_io.pth import read_state_dict

FILE_NAME = "vgg19-dcbb9e9d.pth"
SHA256_PREFIX = "dcbb9e9d"
# Index of each convolution in torchvision's `features`.
CONVOLUTION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
_REMEDY = (
    f"pass torchvision's {FILE_NAME} by --config.perceptual.path=FILE, "
    "or take random weights by --config.perceptual.weights=random"
)


def load_imagenet_vgg19(path: str = "", *, num_taps: int = 5) -> dict:
    """Parameters of `models.vgg.VGG19` from torchvision's file.

    Args:
        path: the file; empty: PyTorch's cache (`TORCH_HOME`, else `~/.cache/torch`), where it is downloaded to if the
            network allows.
        num_taps: how many taps the module has; later layers are left out.

    Raises:
        UserError: the file is missing, cannot be downloaded, or is not VGG19.
    """
    if path and not Path(path).is_file():
        raise UserError(f"perceptual.path: there is no file {path}; {_REMEDY}")
    file = Path(path) if path else _cached_file()
    try:
        tensors = read_state_dict(file)
    except UserError as error:
        raise UserError(f"{error}; {_REMEDY}") from error
    params = {}
    for i in range(TAPPED_CONVOLUTIONS[num_taps - 1] + 1):
        key = f"features.{CONVOLUTION_INDICES[i]}"
        if f"{key}.weight" not in tensors or f"{key}.bias" not in tensors:
            raise UserError(f"{file} is not VGG19: it has no {key}; {_REMEDY}")
        kernel = np.ascontiguousarray(tensors[f"{key}.weight"].transpose(2, 3, 1, 0))
        params[f"conv_{i}"] = {"kernel": kernel, "bias": tensors[f"{key}.bias"]}
    return params


def _cached_file() -> Path:
    file = cached_path(FILE_NAME)
    if not file.is_file():
        download(file, title="VGG19's ImageNet weights (548 MB)", sha256_prefix=SHA256_PREFIX, remedy=_REMEDY)
    return file
