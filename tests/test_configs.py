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
from motion_transformer_jax.training.disentanglement import create_disentanglement_step
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
    validate_config(config, need_data=False)
    assert config.name == (f"{name}-{variant}" if variant else name)
    # Leaves only: no experiment may add, drop or retype a field of the shared defaults.
    assert fields(config.to_dict()) == fields(base.get_config().to_dict())
    with pytest.raises((AttributeError, KeyError)):
        config.train.batchsize = 1


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_unknown_variant(name):
    with pytest.raises(UserError, match=f"unknown variant 'huge' of config '{name}'; expected one of fomm"):
        create(name, "huge")


def test_variants_are_joined_by_commas():
    config = create("taichi256", "stem,depth4")
    assert (config.transformer.backbone, config.transformer.depth) == ("stem", 4)
    assert create("vox256", "debug,depth4").transformer.depth == 4


@pytest.mark.parametrize("variant", ["fomm,mraa", "depth4,fomm"])
def test_variants_that_exclude_each_other(variant):
    with pytest.raises(UserError, match=r"variants \w+ and \w+ exclude each other; expected one system"):
        create("vox256", variant)


def step_of(name: str, variant: str) -> str:
    """All that the traced step depends on: experiments that differ in data and schedule alone share one."""
    config = create(name, variant).to_dict()
    return repr([config[group] for group in config if group not in ("name", "optimizer", "data", "train", "animate")])


# Every experiment as it is, and every variant once but for depths, which are alike. An HRNet takes some ten seconds:
# one of them in `make test`.
ALL = [
    *((name, "") for name in EXPERIMENTS),
    *(("vox256", variant) for variant in variants.VARIANTS if not variant.startswith("depth")),
    ("mgif256", "fomm"),
]
QUICK = ("debug", "stem", "fomm", "fomm_adv", "mraa", "mraa_avd")


def marks_of(pair: tuple[str, str]) -> tuple:
    if pair[0] in ("demo", "puppets", "puppets64") or pair[1] in QUICK:
        return ()
    return (pytest.mark.slow,) if pair == ("taichi256", "") else (pytest.mark.long,)


PAIRS = [
    pytest.param(*pair, marks=marks_of(pair)) for pair in {step_of(*pair): pair for pair in reversed(ALL)}.values()
]


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_takes_a_full_size_step(name, variant):
    """Shapes only: nothing is allocated or computed."""
    config = create(name, variant)
    config.train.batch_size = 8  # one for each device
    config.lock()
    durations = create_durations(config, pairs_per_epoch=10_000)
    optimizer = create_configured_optimizer(config, milestone_steps=durations.milestone_steps)
    state = jax.eval_shape(lambda: create_train_state(config, optimizer))
    vgg_params = jax.eval_shape(lambda: random_vgg19(0))
    disentangles = config.train.objective == "disentanglement"
    if disentangles:
        train_step = create_disentanglement_step(config, optimizer, create_mesh())
    else:
        train_step = create_train_step(config, optimizer, create_mesh(), vgg_params)
    size, batch_size = config.model.image_size, config.train.batch_size
    frames = jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.uint8)
    after, metrics = jax.eval_shape(train_step, state, {"source": frames, "driving": frames})
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {(value.shape, value.dtype.name) for value in metrics.values()} == {((), "float32")}
    reconstruction = {"perceptual", "equivariance_keypoints", "equivariance_affine"}
    assert {"total", *(("disentangled_keypoints",) if disentangles else reconstruction)} < metrics.keys()
    assert ("discriminator" in metrics) == (config.loss.adversarial > 0)


def test_systems_have_the_official_schedules():
    """(pairs per video, batch, epochs, estimator's rate): from the official configuration files."""
    expected = {
        ("vox256", "fomm"): (75, 40, 100, 2e-4),
        ("vox256", "fomm_adv"): (75, 36, 150, 2e-4),
        ("taichi256", "fomm"): (150, 30, 100, 2e-4),
        ("taichi256", "fomm_adv"): (150, 27, 150, 0.0),
        ("mgif256", "fomm"): (25, 36, 100, 2e-4),
        ("vox256", "mraa"): (75, 14, 100, 2e-4),
        ("taichi256", "mraa"): (150, 14, 100, 2e-4),
        ("ted384", "mraa"): (150, 6, 100, 2e-4),
        ("mgif256", "mraa"): (50, 14, 100, 2e-4),
        ("vox256", "mraa_avd"): (2000, 256, 30, 2e-4),
        ("mgif256", "mraa_avd"): (50, 256, 30, 2e-4),
    }
    for pair, numbers in expected.items():
        config = create(*pair)
        train = config.train
        rate = config.optimizer.learning_rate_motion_estimator
        assert (config.data.repeats, train.batch_size, train.num_epochs, rate) == numbers, pair


def test_systems_have_the_official_augmentation():
    """(mirrored, degrees, sizes, jitter of brightness, contrast and saturation, of hue); from the same files."""
    whole = (1.0, 1.0)
    expected = {
        ("vox256", ""): (True, 0, whole, 0.1, 0.1),
        ("vox256", "mraa"): (True, 0, whole, 0.1, 0.1),
        ("taichi256", ""): (False, 20, whole, 0.1, 0.1),
        ("taichi256", "fomm"): (True, 0, whole, 0.1, 0.1),
        ("taichi256", "fomm_adv"): (True, 0, whole, 0.1, 0.1),
        ("taichi256", "mraa"): (True, 0, whole, 0.1, 0.1),
        ("taichi256", "mraa_avd"): (True, 0, whole, 0.1, 0.1),
        ("ted384", ""): (True, 20, whole, 0.1, 0.1),
        ("ted384", "mraa"): (True, 0, whole, 0.1, 0.1),
        ("mgif256", ""): (True, 0, (0.9, 1.1), 0, 0.5),
        ("mgif256", "fomm"): (True, 0, (0.9, 1.1), 0, 0.5),
        ("taichi256", "debug"): (False, 0, whole, 0, 0),
        ("demo", "mraa_avd"): (False, 0, whole, 0, 0),
    }
    for pair, (mirrored, degrees, sizes, jitter, hue) in expected.items():
        assert create(*pair).augmentation.to_dict() == dict(
            horizontal_flip=mirrored,
            time_flip=True,
            rotation_degrees=degrees,
            resize_ratio=sizes,
            **dict.fromkeys(("brightness", "contrast", "saturation"), jitter),
            hue=hue,
        ), pair


def test_a_system_leaves_nothing_of_the_motion_transformers_training():
    for variant in ("fomm", "mraa"):
        config = create("taichi256", variant)
        assert config.optimizer.clip_motion_estimator == 0
        assert config.loss.background_mask == config.loss.mask_concentration == 0
    assert (config.background.kind, create("taichi256", "fomm").background.kind) == ("affine", "none")
