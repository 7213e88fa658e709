"""VGG19's ImageNet weights: from a torchvision file, from its cache, or downloaded."""

import hashlib
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.vgg import TAPPED_CONVOLUTIONS
from motion_transformer_jax.torch_io.pth import read_state_dict

logger = logging.getLogger(__name__)

FILE_NAME = "vgg19-dcbb9e9d.pth"
URL = f"https://download.pytorch.org/models/{FILE_NAME}"
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
    home = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch"))
    file = home / "hub" / "checkpoints" / FILE_NAME
    if not file.is_file():
        _download(file)
    return file


def _download(file: Path) -> None:
    logger.info("downloading VGG19's ImageNet weights (548 MB) to %s", file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            digest = hashlib.sha256()
            with urllib.request.urlopen(URL, timeout=30) as response, open(temporary, "wb") as output:
                while block := response.read(1 << 20):
                    digest.update(block)
                    output.write(block)
            if not digest.hexdigest().startswith(SHA256_PREFIX):
                raise UserError(f"the download of {FILE_NAME} is damaged (its checksum differs); {_REMEDY}")
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise UserError(
            f"VGG19's ImageNet weights are not at {file} and cannot be downloaded ({error}); {_REMEDY}"
        ) from error
