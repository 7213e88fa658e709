"""Every experiment with every variant: it builds, locks, validates, and takes its full-size step."""

import importlib
import pkgutil

import pytest
from ml_collections import ConfigDict

from motion_transformer_jax import configs
from motion_transformer_jax.configs import base, variants
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.config_check import validate_config

EXPERIMENTS = sorted({module.name for module in pkgutil.iter_modules(configs.__path__)} - {"base", "variants"})


def create(name: str, variant: str) -> ConfigDict:
    return importlib.import_module(f"motion_transformer_jax.configs.{name}").get_config(variant)


def fields(tree: dict, prefix: str = "") -> dict[str, type]:
    flat = {}
    for key, value in tree.items():
        flat |= fields(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: type(value)}
    return flat


def test_every_experiment_is_found():
    assert {"demo", "folder", "mgif256", "taichi256", "ted384", "vox256"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("variant", ["", *variants.VARIANTS])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_builds_locks_and_validates(name, variant):
    config = create(name, variant).lock()
    validate_config(config, device_count=8, need_data=False)
    assert config.name == (f"{name}-{variant}" if variant else name)
    # Leaves only: no experiment may add, drop or retype a field of the shared defaults.
    assert fields(config.to_dict()) == fields(base.get_config().to_dict())
    with pytest.raises((AttributeError, KeyError)):
        config.train.batchsize = 1


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_unknown_variant(name):
    with pytest.raises(UserError, match=f"unknown variant 'huge' of config '{name}'; expected one of stem"):
        create(name, "huge")


def test_variants_are_joined_by_commas():
    config = create("taichi256", "stem,depth4")
    assert (config.transformer.backbone, config.transformer.depth) == ("stem", 4)
