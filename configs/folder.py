"""Your own videos at 256×256: a folder with `train/` and `test/`, each holding videos of one kind of subject.

    python -m motion_transformer_jax.train --config configs/folder.py --workdir runs/mine --config.data.folder=DIR

A fixed, square framing of one subject per video works best. Variants: see `configs/variants.py`.
"""

from ml_collections import ConfigDict

from motion_transformer_jax.configs import base, variants


def get_config(variant: str = "") -> ConfigDict:
    """The shared defaults on a folder of videos, with a batch that one GPU holds."""
    config = base.get_config()
    config.name = "folder"
    config.data.repeats = 100
    config.train.batch_size = 16
    return variants.apply(config, variant)
