import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from torch_files import HRNETS, assert_same, make_config, official_state_dicts, random_variables, shapes_of

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.names import from_torch_layout, to_torch_layout, torch_names
from motion_transformer_jax.torch_io.state_dict import (
    nonfinite_tensors,
    state_dicts_from_variables,
    variables_from_state_dicts,
)


@pytest.fixture(scope="module")
def config():
    return taichi256.get_config("debug")


@pytest.fixture(scope="module")
def template(config):
    return shapes_of(config)


@pytest.fixture
def state_dicts(config):
    return official_state_dicts(config)


@pytest.mark.slow
@pytest.mark.parametrize("name", HRNETS)
def test_round_trip_is_bitwise(name):
    """Of the others in `test_conversion.py`, through files."""
    config = make_config(name)
    template, variables = shapes_of(config), random_variables(config)
    constants = official_constants(config, template)
    state_dicts = state_dicts_from_variables(variables, constants)
    names = {(module, key) for module, tensors in state_dicts.items() for key in tensors}
    assert names == set(torch_names(template).values()) | constants.keys()
    assert_same(variables_from_state_dicts(state_dicts, template, constants), variables)


def test_every_leaf_has_a_name_of_its_own(template):
    names = torch_names(template)
    assert len(set(names.values())) == len(names) == len(traverse_util.flatten_dict(template))


def test_layouts_are_inverse_of_each_other():
    for path, shape in {("kernel",): (3, 3, 4, 5), ("x", "kernel"): (4, 5), ("motion_tokens",): (6, 7)}.items():
        array = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_array_equal(from_torch_layout(path, to_torch_layout(path, array)), array)


def test_keys_are_in_their_natural_order(state_dicts):
    keys = list(state_dicts["kp_detector"])
    assert keys.index("features.layer1.2.conv1.weight") < keys.index("features.layer1.3.conv1.weight")
    assert list(state_dicts) == ["bg_predictor", "generator", "kp_detector"]


def test_constants_may_be_missing(config, template, state_dicts):
    constants = official_constants(config, template)
    for module, key in constants:
        del state_dicts[module][key]
    assert_same(variables_from_state_dicts(state_dicts, template, constants), random_variables(config))


def test_constants_without_effect_may_differ(config, template, state_dicts):
    constants = official_constants(config, template)
    state_dicts["generator"]["first.norm.num_batches_tracked"] = np.array(12345)
    variables_from_state_dicts(state_dicts, template, constants)


def test_constants_of_another_model_are_refused(config, template, state_dicts):
    constants = official_constants(config, template)
    table = state_dicts["kp_detector"]["features.pos_embedding"]
    state_dicts["kp_detector"]["features.pos_embedding"] = table + np.float32(5e-5)  # rounding
    variables_from_state_dicts(state_dicts, template, constants)
    state_dicts["kp_detector"]["features.pos_embedding"] = table[:, ::-1]
    state_dicts["generator"]["dense_motion_network.down.weight"] = np.zeros((3, 1, 13, 13), np.float32)
    with pytest.raises(UserError, match=r"2 with other values than this config's: generator.dense_.*down.weight, kp_"):
        variables_from_state_dicts(state_dicts, template, constants)


def test_all_problems_are_named(template, config, state_dicts):
    del state_dicts["generator"]["final.bias"]
    state_dicts["bg_predictor"]["extra.weight"] = np.zeros(1)
    state_dicts["vgg"] = {f"features.{i}.weight": np.zeros(1) for i in range(7)}
    state_dicts["generator"]["first.conv.bias"] = np.zeros(3, np.float32)
    state_dicts["generator"]["dense_motion_network.down.weight"] = np.zeros((3, 1, 5, 5), np.float32)
    state_dicts["generator"]["first.norm.bias"] = state_dicts["generator"]["first.norm.bias"].astype(np.int64)
    with pytest.raises(UserError) as error:
        variables_from_state_dicts(state_dicts, template, official_constants(config, template))
    message = str(error.value)
    for words in [
        "(1 missing: generator.final.bias; ",
        "8 unexpected: bg_predictor.extra.weight, vgg.features.0.weight, ",
        "vgg.features.3.weight, ...; ",
        "2 misshapen: generator.dense_motion_network.down.weight has (3, 1, 5, 5), expected (3, 1, 13, 13), ",
        "generator.first.conv.bias has (3,), expected (8,); ",
        "1 not of floating point: generator.first.norm.bias is int64)",
    ]:
        assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float64])
def test_other_precisions_become_float32(config, template, state_dicts, dtype):
    constants = official_constants(config, template)
    converted = {
        module: {key: a.astype(dtype) if a.dtype == np.float32 else a for key, a in tensors.items()}
        for module, tensors in state_dicts.items()
    }
    leaves = traverse_util.flatten_dict(variables_from_state_dicts(converted, template, constants))
    originals = traverse_util.flatten_dict(random_variables(config))
    for path, leaf in leaves.items():
        assert leaf.dtype == np.float32
        np.testing.assert_array_equal(leaf, originals[path].astype(dtype).astype(np.float32))


def test_nan_and_infinity_are_found(state_dicts):
    assert nonfinite_tensors(state_dicts) == []
    state_dicts["generator"]["final.bias"][1] = np.nan
    state_dicts["kp_detector"]["features.conv1.weight"] = np.full((2, 2), 1e300)  # too large for float32
    assert nonfinite_tensors(state_dicts) == ["generator.final.bias", "kp_detector.features.conv1.weight"]
