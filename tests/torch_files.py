"""Small models of every system and variant with random weights, and their official files."""

import functools
import json

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.configs import mgif256, taichi256, vox256
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.pth import write_torch_file
from motion_transformer_jax.torch_io.state_dict import state_dicts_from_variables
from motion_transformer_jax.training.state import create_variables

# Name -> (experiment, variant, fields).
MODELS = {
    "mtia": (vox256, "debug", {"transformer.heads": 4}),
    "mtia_background": (taichi256, "debug", {}),
    "mtia_shift": (taichi256, "debug", {"background.kind": "shift", "dense_motion.scale": 0.5}),
    "mtia_perspective": (taichi256, "debug", {"background.kind": "perspective", "dense_motion.scale": 1.0}),
    "mtia_no_position": (vox256, "debug,no_position", {"generator.skips": False}),
    "mtia_learnable": (vox256, "debug", {"transformer.position": "learnable"}),
    "mtia_sine": (vox256, "debug", {"transformer.position": "sine"}),
    "mtia_masked": (vox256, "debug", {"transformer.image_attends_to_motion": False}),
    "mtia_masked_no_position": (
        vox256,
        "debug",
        {"transformer.image_attends_to_motion": False, "transformer.position": "none", "model.image_size": 64},
    ),
    "mtia_stacks": (vox256, "debug", {"transformer.stacks": 3, "transformer.mlp_ratio": 2}),
    "mtia_discriminator": (vox256, "debug", {"discriminator.enabled": True, "discriminator.spectral_norm": True}),
    "fomm": (vox256, "fomm,debug", {}),
    "fomm_adv": (vox256, "fomm_adv,debug", {"keypoint_detector.scale": 1.0}),
    "fomm_shared": (mgif256, "fomm,debug", {"discriminator.scales": (1.0, 0.5), "keypoint_detector.padding": 1}),
    "mraa": (taichi256, "mraa,debug", {"region_predictor.scale": 0.25}),
    "mraa_avd": (taichi256, "mraa_avd,debug", {"disentangler.identity_features": 8}),
    "mraa_regression": (taichi256, "mraa,debug", {"region_predictor.affine": "regression"}),
    "mraa_zero": (mgif256, "mraa,debug", {"dense_motion.covariance_heatmaps": False}),
}
HRNETS = {
    "mtia_w32": (taichi256, "debug", {"transformer.backbone": "hrnet_w32"}),
    "mtia_w48": (vox256, "debug", {"transformer.backbone": "hrnet_w48"}),
}


def make_config(name):
    experiment, variant, fields = (MODELS | HRNETS)[name]
    config = experiment.get_config(variant)
    config.update_from_flattened_dict(fields)
    return config


def shapes_of(config):
    """All variables of a config, abstract, with the discriminator."""
    return _shapes_of(config.to_json())


@functools.cache
def _shapes_of(config_json):
    config = ConfigDict(json.loads(config_json))
    return jax.eval_shape(lambda: create_variables(config, jax.random.key(0)))


def random_variables(config, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes_of(config))


def official_state_dicts(config, variables=None):
    """As the official code would save them."""
    variables = random_variables(config) if variables is None else variables
    return state_dicts_from_variables(variables, official_constants(config, variables))


def write_official(path, config, variables=None):
    write_torch_file(path, official_state_dicts(config, variables), {"epoch": 99})
    return path


def assert_same(a, b):
    """Bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
