"""VoxCeleb at 256×256: faces.

    python -m motion_transformer_jax.train --config configs/vox256.py --workdir runs/vox256 --config.data.folder=DIR

Poster: L1 0.038, AKD 1.18, AED 0.116. Variants: see `configs/variants.py`.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants

OFFICIAL = {
    "fomm": {"data.repeats": 75, "train.batch_size": 40},
    "fomm_adv": {"data.repeats": 75, "train.batch_size": 36},
    "mraa": {"data.repeats": 75, "region_predictor.padding": 3},
    "mraa_avd": {"data.repeats": 2000, "region_predictor.padding": 3},
}


def get_config(variant: str = "") -> ConfigDict:
    """The official VoxCeleb hyper-parameters."""
    config = base.get_config()
    config.name = "vox256"
    config.data.by_identity = True
    config.data.repeats = 150
    return variants.apply(config, variant, OFFICIAL)
