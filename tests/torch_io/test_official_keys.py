"""Names, shapes and recognition held to the official state dicts' lists of keys."""

import functools
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from flax import traverse_util
from torch_files import shapes_of

from motion_transformer_jax.configs import base, mgif256, taichi256, ted384, vox256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.names import torch_names, torch_shape
from motion_transformer_jax.torch_io.recognition import config_from, recognise

GOLDEN = Path(__file__).parent.parent / "golden" / "official_keys.json.gz"
# Variant of the official motion transformer -> (experiment, our variant, fields).
TRANSFORMERS = {
    "s_sine_full": (vox256, "stem", {}),
    "s_sine": (vox256, "stem", {"transformer.position": "sine"}),
    "s_learnable": (vox256, "stem", {"transformer.position": "learnable"}),
    "s_none": (vox256, "stem,no_position", {}),
    "b_w32": (vox256, "", {}),
    "b_w48": (vox256, "hrnet_w48", {}),
    "b_depth4": (vox256, "depth4", {}),
    "b_depth8": (vox256, "depth8", {}),
    "b_pos_none": (vox256, "no_position", {}),
    "b_pos_sine": (vox256, "", {"transformer.position": "sine"}),
    "b_pos_learnable": (vox256, "", {"transformer.position": "learnable"}),
    "b_fix_img2motion": (vox256, "", {"transformer.image_attends_to_motion": False}),
    "b_data_preprocess": (vox256, "", {"transformer.imagenet_normalize": True}),
    "b_num_kp5_heads4": (vox256, "", {"model.num_keypoints": 5, "transformer.heads": 4}),
    "l_sine_full": (vox256, "", {"transformer.stacks": 3}),
    "l_sine": (vox256, "", {"transformer.stacks": 3, "transformer.position": "sine"}),
    "l_learnable": (vox256, "", {"transformer.stacks": 3, "transformer.position": "learnable"}),
    "ted384_b": (ted384, "", {}),
}
# What decides the shapes, but for fields without effect on them.
GROUPS = ("model", "transformer", "keypoint_detector", "region_predictor", "dense_motion", "generator", "background")
GROUPS += ("discriminator", "disentangler")
SHAPELESS = {"transformer.heads": 1, "transformer.imagenet_normalize": False, "generator.skips": False}


@pytest.fixture(scope="module")
def official():
    return json.loads(gzip.decompress(GOLDEN.read_bytes()))


def names_and_shapes(config, modules):
    """(state dict, key) -> shape of everything that we would write into these state dicts."""
    values = traverse_util.flatten_dict(config.to_dict(), sep=".") | SHAPELESS
    if values["transformer.position"] == "sine":
        values["transformer.position"] = "sine_every_layer"
    named = {name: values[name] for name in sorted(values) if name.split(".")[0] in GROUPS}
    return {name: shape for name, shape in all_names_and_shapes(tuple(named.items())).items() if name[0] in modules}


@functools.cache
def all_names_and_shapes(values):
    """Cached: shapes of a full-size model take a second."""
    config = base.get_config()
    config.update_from_flattened_dict(dict(values))
    template = shapes_of(config)
    leaves = traverse_util.flatten_dict(template)
    ours = {name: torch_shape(path, leaves[path]) for path, name in torch_names(template).items()}
    return ours | {name: constant.shape for name, constant in official_constants(config, template).items()}


def listed(state_dicts):
    return {(module, key): tuple(shape) for module, keys in state_dicts.items() for key, shape in keys.items()}


def assert_official(config, state_dicts):
    """Our names and shapes for this config, and for the one that the official ones are recognised as."""
    assert names_and_shapes(config, state_dicts) == listed(state_dicts)


def recognised(state_dicts):
    return recognise(
        {
            module: {key: np.broadcast_to(np.float32(0), shape) for key, shape in keys.items()}
            for module, keys in state_dicts.items()
        }
    )


def assert_recognised(config, state_dicts):
    fields = recognised(state_dicts)
    flat = traverse_util.flatten_dict(config.to_dict(), sep=".")
    different = {name for name, value in fields.items() if value != flat[name]}
    assert different <= {"transformer.position"}  # "sine" or "sine_every_layer": the same tensors
    assert names_and_shapes(config_from(fields, "x"), state_dicts) == listed(state_dicts)


@pytest.mark.slow
@pytest.mark.parametrize("variant", TRANSFORMERS)
def test_motion_transformer(official, variant):
    experiment, ours, fields = TRANSFORMERS[variant]
    config = experiment.get_config(ours)
    config.update_from_flattened_dict(fields)
    estimator = (official["mtia_variants"] | official["mtia_b_w32"])[variant]
    assert_official(config, estimator)
    if config.model.num_keypoints == 10:  # as the recorded generator
        assert_recognised(config, estimator | {"generator": official["mtia_generator"]["generator"]})


@pytest.mark.slow
def test_motion_transformer_with_background(official):
    config = taichi256.get_config()
    modules = official["mtia_b_w32"]["b_w32"] | official["mtia_generator"]
    assert_official(config, modules)
    assert_recognised(config, modules)


@pytest.mark.parametrize(
    ("config", "renamed"),
    [
        (vox256.get_config("fomm_adv"), {"discriminator": "discriminator"}),
        (mgif256.get_config("fomm"), {"discriminator": "discriminator_sn"}),
    ],
    ids=["adv", "spectral"],
)
def test_fomm(official, config, renamed):
    config.keypoint_detector.shared_affine = False
    modules = {
        "kp_detector": official["fomm"]["kp_detector"],
        "generator": official["fomm"]["generator"],
        **{ours: official["fomm"][theirs] for ours, theirs in renamed.items()},
    }
    assert_official(config, modules)
    assert_recognised(config, modules)


@pytest.mark.parametrize("background", ["affine", "shift", "perspective"])
@pytest.mark.parametrize("affine", ["principal_axes", "regression"])
def test_mraa(official, background, affine):
    config = taichi256.get_config("mraa_avd")
    config.background.kind = background
    config.region_predictor.affine = affine
    lists = official["mraa"]
    modules = {
        "region_predictor": lists["region_predictor" if affine == "principal_axes" else "region_predictor_regression"],
        "generator": lists["generator"],
        "bg_predictor": lists["bg_predictor" if background == "affine" else f"bg_predictor_{background}"],
        "avd_network": lists["avd_network"],
    }
    assert_official(config, modules)
    assert_recognised(config, modules)


@pytest.mark.parametrize("variant", ["cnn", "hg"])
def test_estimators_of_the_official_code_that_are_not_the_papers(official, variant):
    modules = official["mtia_variants"][variant] | {"generator": official["mtia_generator"]["generator"]}
    with pytest.raises(
        UserError, match=r"no motion estimator of motion_transformer, fomm, mraa is recognised among kp"
    ):
        recognised(modules)


def test_experiments_that_sizes_point_to(official):
    """The official TED-talks model has no skips; the one with a background predictor animates absolutely."""
    generator = {"generator": official["mtia_generator"]["generator"]}
    ted = config_from(recognised(official["mtia_variants"]["ted384_b"] | generator), "ted")
    assert ted.generator.skips is False and ted.model.image_size == 384 and ted.name == "ted"
    taichi = config_from(recognised(official["mtia_b_w32"]["b_w32"] | official["mtia_generator"]), "taichi")
    assert taichi.animate.mode == "absolute" and taichi.generator.skips is True


def test_no_recorded_variant_is_left_out(official):
    assert set(official["mtia_variants"]) | set(official["mtia_b_w32"]) == {*TRANSFORMERS, "cnn", "hg"}
