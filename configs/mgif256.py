"""MGIF at 256×256: cartoon animals.

    python -m motion_transformer_jax.train --config configs/mgif256.py --workdir runs/mgif256 --config.data.folder=DIR

Poster: L1 0.0200. Variants: see `configs/variants.py`.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants


def get_config(variant: str = "") -> ConfigDict:
    """The official MGIF hyper-parameters."""
    config = base.get_config()
    config.name = "mgif256"
    config.generator.skips = False
    config.data.repeats = 50
    config.animate.mode = "absolute"
    return variants.apply(config, variant)
