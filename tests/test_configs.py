"""Every experiment with every variant: it builds, locks, validates, and takes its full-size step."""

import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from motion_transformer_jax import configs
from motion_transformer_jax.configs import base, variants
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.durations import create_durations
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import create_mesh
from motion_transformer_jax.training.state import create_train_state
from motion_transformer_jax.training.step import create_train_step

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


def is_quick(name: str, variant: str) -> bool:
    """Whether tracing takes seconds; the other configs are marked slow."""
    return name == "demo" or variant == "debug" or (name, variant) == ("taichi256", "")


def step_of(name: str, variant: str) -> str:
    """All that the traced step depends on: experiments that differ in data and schedule alone share one."""
    config = create(name, variant)
    groups = ("dtype", "model", "transformer", "dense_motion", "generator", "background", "loss", "perceptual")
    return repr([config[group] for group in groups])


ALL = [(name, variant) for name in EXPERIMENTS for variant in ["", *variants.VARIANTS]]
PAIRS = [
    pytest.param(*pair, marks=() if is_quick(*pair) else pytest.mark.slow)
    for pair in {step_of(*pair): pair for pair in reversed(ALL)}.values()
]


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_takes_a_full_size_step(name, variant):
    """Shapes only: nothing is allocated or computed."""
    config = create(name, variant).lock()
    durations = create_durations(config, pairs_per_epoch=10_000)
    optimizer = create_configured_optimizer(config, milestone_steps=durations.milestone_steps)
    state = jax.eval_shape(lambda: create_train_state(config, optimizer))
    vgg_params = jax.eval_shape(lambda: random_vgg19(0))
    train_step = create_train_step(config, optimizer, create_mesh(), vgg_params)
    size, batch_size = config.model.image_size, config.train.batch_size
    frames = jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.uint8)
    after, metrics = jax.eval_shape(train_step, state, {"source": frames, "driving": frames})
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {(value.shape, value.dtype.name) for value in metrics.values()} == {((), "float32")}
    assert {"total", "perceptual", "equivariance_keypoints", "equivariance_affine"} < metrics.keys()
