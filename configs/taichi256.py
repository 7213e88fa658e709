"""TaiChiHD at 256×256: bodies, with a predictor of the background's motion.

    python -m motion_transformer_jax.train --config configs/taichi256.py --workdir runs/taichi --config.data.folder=DIR

Poster: L1 0.045, AKD 4.670, MKR 0.021, AED 0.148. Variants: see `configs/variants.py`.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants

_OTHERS = {"data.repeats": 150, "augmentation.horizontal_flip": True}
OFFICIAL = {
    "fomm": {**_OTHERS, "train.batch_size": 30},
    # Meant to go on from a run of `fomm` (train.init_from): its keypoints stay as they are.
    "fomm_adv": {**_OTHERS, "train.batch_size": 27, "optimizer.learning_rate_motion_estimator": 0.0},
    "mraa": _OTHERS,
    "mraa_avd": _OTHERS,
}


def get_config(variant: str = "") -> ConfigDict:
    """The official TaiChiHD hyper-parameters; its HRNet starts from scratch unless `train.backbone_path` is set."""
    config = base.get_config()
    config.name = "taichi256"
    config.background.kind = "affine"
    config.loss.background_mask = 1.0
    config.loss.mask_concentration = 1.0
    config.data.by_identity = True
    config.data.repeats = 250
    config.augmentation.update(horizontal_flip=False, rotation_degrees=20.0)
    config.animate.mode = "absolute"
    return variants.apply(config, variant, OFFICIAL)
