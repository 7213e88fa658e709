"""A backbone's weights from an HRNet that was trained on ImageNet, as published in PyTorch."""

import re
from pathlib import Path

import numpy as np
from flax import traverse_util

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.backbone import HRNET_WIDTHS
from motion_transformer_jax.torch_io.names import estimator_of, from_torch_layout, torch_names, torch_shape
from motion_transformer_jax.torch_io.pth import read_state_dict

# Its output channels are the width of the high-resolution branch.
_WIDTH_KEY = "stage2.0.branches.0.0.conv1.weight"


def load_imagenet_hrnet(path: str | Path, template: dict) -> dict:
    """The motion transformer's backbone from an ImageNet or pose HRNet (`hrnet_w32`, `hrnet_w48`).

    What the backbone lacks (stage 4, the last fusion's lower branches, the classifier) is left out.

    Args:
        path: a `.pth` with keys such as "stage3.0.branches.0.0.conv1.weight".
        template: the model's {"params": ..., "batch_stats": ...}, arrays or `jax.ShapeDtypeStruct`; other parts than
            the motion estimator are not looked at.

    Returns:
        {"params": backbone's tree, "batch_stats": backbone's tree}, float32 NumPy leaves; they belong at
        [collection]["motion_estimator"]["backbone"].

    Raises:
        UserError: the file cannot be read, is no HRNet, or one of another width; or the model has no such backbone.
    """
    if estimator_of(template) != "motion_transformer":
        raise UserError(
            f"HRNet's weights in {path} are for a motion transformer's backbone, which this model has none of; "
            "expected model.estimator=motion_transformer"
        )
    try:
        tensors = read_state_dict(path)
    except UserError as error:
        raise UserError(f"{error}; train.backbone_path names HRNet's ImageNet weights (.pth)") from error
    leaves = traverse_util.flatten_dict(template)
    names = {
        leaf_path: re.sub(r"^(pre_feature|features)\.", "", key)
        for leaf_path, (_, key) in torch_names(template).items()
        if leaf_path[1:3] == ("motion_estimator", "backbone")
    }
    _check(path, tensors, {key: torch_shape(leaf_path, leaves[leaf_path]) for leaf_path, key in names.items()})
    filled = {}
    for leaf_path, key in names.items():
        array = from_torch_layout(leaf_path, tensors[key])
        filled[leaf_path[:1] + leaf_path[3:]] = np.ascontiguousarray(array, np.float32)
    return traverse_util.unflatten_dict(filled)


def _check(path: str | Path, tensors: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    backbones = {width: name for name, width in HRNET_WIDTHS.items()}
    if _WIDTH_KEY in tensors and _WIDTH_KEY in shapes and tensors[_WIDTH_KEY].shape[:1] != shapes[_WIDTH_KEY][:1]:
        found, wanted = tensors[_WIDTH_KEY].shape[0], shapes[_WIDTH_KEY][0]
        other = f" or pass --config.transformer.backbone={backbones[found]}" if found in backbones else ""
        raise UserError(
            f"{path} holds an HRNet of width {found} but the backbone is {backbones[wanted]}; take its file{other}"
        )
    missing = sorted(shapes.keys() - tensors.keys())
    misshapen = sorted(key for key in shapes.keys() & tensors.keys() if tensors[key].shape != shapes[key])
    if missing:
        raise UserError(
            f"{path} is not HRNet: {len(missing)} of the backbone's {len(shapes)} tensors are missing, such as "
            f"{missing[0]}; expected ImageNet weights such as hrnet_w32-36af842e.pth"
        )
    if misshapen:
        key = misshapen[0]
        raise UserError(
            f"{path} does not fit the backbone: {len(misshapen)} tensors are misshapen, such as {key}, "
            f"{tensors[key].shape} where {shapes[key]} is expected"
        )
