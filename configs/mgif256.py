"""MGIF at 256×256: cartoon animals.

    python -m motion_transformer_jax.train --config configs/mgif256.py --workdir runs/mgif256 --config.data.folder=DIR

Poster: L1 0.0200. Variants: see `configs/variants.py`.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants

_FOMM = {
    "keypoint_detector.shared_affine": True,
    "discriminator.enabled": True,
    "discriminator.spectral_norm": True,
    "discriminator.use_keypoints": False,
    "loss.adversarial": 1.0,
    "optimizer.milestones_epochs": (60, 90),
    "data.repeats": 25,
    "train.num_epochs": 100,
    "train.batch_size": 36,
}
OFFICIAL = {
    "fomm": _FOMM,
    "fomm_adv": _FOMM,  # on MGIF the official FOMM is adversarial anyway
    "mraa": {"background.kind": "zero"},
    "mraa_avd": {"background.kind": "zero", "optimizer.milestones_epochs": (60, 90)},
}


def get_config(variant: str = "") -> ConfigDict:
    """The official MGIF hyper-parameters."""
    config = base.get_config()
    config.name = "mgif256"
    config.generator.skips = False
    config.data.repeats = 50
    config.augmentation.update(resize_ratio=(0.9, 1.1), brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    config.animate.mode = "absolute"
    return variants.apply(config, variant, OFFICIAL)
