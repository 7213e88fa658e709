"""What a file of PyTorch weights holds, in words."""

from collections import Counter
from pathlib import Path

import numpy as np

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.pth import StateDict, TorchFile, read_torch_file
from motion_transformer_jax.torch_io.recognition import SYSTEMS, recognise
from motion_transformer_jax.torch_io.state_dict import nonfinite_tensors

# Endings of keys that are no parameters: running statistics, vectors of spectral norms and constants.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "weight_u", "weight_v", "down.weight", "attn_mask")
# A key that an ImageNet file of that kind has: what it is, and the field that takes it.
_IMAGENET_FILES = {
    "stage2.0.branches.0.0.conv1.weight": "an HRNet of width {width}, for --config.train.backbone_path",
    "features.0.weight": "a VGG, for --config.perceptual.path",
}


def describe_torch_file(path: str | Path) -> list[str]:
    """Lines about a file: its state dicts, its other entries, the system and variant, tensors with NaN.

    Raises:
        UserError: as `read_torch_file`.
    """
    file = read_torch_file(path)
    lines = [f"{name or 'one state dict'}: {_summary(tensors)}" for name, tensors in file.state_dicts.items()]
    lines += [f"{name}: {value if str(value).isprintable() else repr(value)}" for name, value in file.others.items()]
    lines.append(_recognition(file))
    lines += [f"NaN or infinity in {name}" for name in nonfinite_tensors(file.state_dicts)]
    return [line if line.isprintable() else ascii(line)[1:-1] for line in lines]  # names are the file's, too


def _summary(tensors: StateDict) -> str:
    parameters = sum(array.size for key, array in tensors.items() if not key.endswith(_BUFFERS))
    dtypes = Counter(array.dtype.name for array in tensors.values())
    kinds = ", ".join(f"{count} {name}" for name, count in dtypes.most_common())
    return f"{len(tensors)} tensors{f' ({kinds})' if kinds else ''}, {parameters:,} parameters"


def _recognition(file: TorchFile) -> str:
    for tensors in file.state_dicts.values():
        plain = {key.removeprefix("module."): array for key, array in tensors.items()}
        for key, kind in _IMAGENET_FILES.items():
            if key in plain and np.ndim(plain[key]):
                return f"recognised: {kind.format(width=plain[key].shape[0])}"
    try:
        fields = recognise(file.state_dicts)
    except UserError as error:
        return f"not recognised: {error}"
    system = {estimator: name for name, estimator in SYSTEMS.items()}[fields.pop("model.estimator")]
    return f"recognised: {system}, {', '.join(f'{name}={value}' for name, value in fields.items())}"
