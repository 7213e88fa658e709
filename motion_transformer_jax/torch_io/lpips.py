"""LPIPS's weights: AlexNet's from torchvision's file, the weights of its features from the package lpips.

The package itself is not imported: it loads torchvision, which is only needed for AlexNet's layers.
"""

import importlib.util
from pathlib import Path

import numpy as np

from motion_transformer_jax.errors import UserError, install_hint
from motion_transformer_jax.models.lpips import CONVOLUTIONS
from motion_transformer_jax.torch_io.hub import cached_path, download
from motion_transformer_jax.torch_io.pth import read_state_dict

FILE_NAME = "alexnet-owt-7be5be79.pth"
SHA256_PREFIX = "7be5be79"
# Index of each convolution in torchvision's `features`.
CONVOLUTION_INDICES = (0, 3, 6, 8, 10)


def load_lpips(*, allow_download: bool = False) -> dict:
    """Parameters of `models.lpips.LPIPS`.

    Args:
        allow_download: fetch AlexNet's file into PyTorch's cache where it is not there yet.

    Raises:
        UserError: the package lpips or PyTorch is not installed, AlexNet's file is missing, cannot be downloaded, or is
            not AlexNet.
    """
    heads = read_state_dict(_heads_file())
    file = cached_path(FILE_NAME)
    remedy = f"download torchvision's {FILE_NAME} elsewhere and put it there"
    if not file.is_file():
        if not allow_download:
            raise UserError(f"AlexNet's ImageNet weights are not at {file}; {remedy}, or allow the download")
        download(file, title="AlexNet's ImageNet weights (233 MB)", sha256_prefix=SHA256_PREFIX, remedy=remedy)
    alexnet = read_state_dict(file)
    params = {}
    for i, (index, (channels, *_)) in enumerate(zip(CONVOLUTION_INDICES, CONVOLUTIONS, strict=True)):
        kernel, bias = (alexnet.get(f"features.{index}.{name}") for name in ("weight", "bias"))
        if kernel is None or bias is None or len(kernel) != channels:
            raise UserError(f"{file} is not AlexNet: expected {channels} kernels at features.{index}; {remedy}")
        params[f"conv_{i}"] = {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), "bias": bias}
        params[f"head_{i}"] = heads[f"lin{i}.model.1.weight"].reshape(-1)
    return params


def _heads_file() -> Path:
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        raise UserError(f"the package lpips is not installed; {install_hint('eval')}")
    return Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
