import numpy as np
import pytest
from flax import traverse_util
from parity import abstract_variables, rule_tensor

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.torch_io.names import from_torch_layout, to_torch_layout, torch_names, torch_shape
from motion_transformer_jax.torch_io.state_dict import variables_from_state_dicts


@pytest.fixture(scope="module")
def template():
    return abstract_variables(create_animation_model(taichi256.get_config("debug")), 32)


@pytest.fixture
def state_dicts(template):
    flat = traverse_util.flatten_dict(template)
    tensors: dict = {}
    for path, (module, key) in torch_names(template).items():
        tensors.setdefault(module, {})[key] = rule_tensor(f"{module}.{key}", torch_shape(path, flat[path]))
    return tensors


def test_every_leaf_has_a_name_of_its_own(template):
    names = torch_names(template)
    assert len(set(names.values())) == len(names) == len(traverse_util.flatten_dict(template))


def test_official_names():
    names = torch_names(abstract_variables(create_animation_model(taichi256.get_config()), 256)).values()
    for name in [
        ("kp_detector", "pre_feature.stage3.2.fuse_layers.2.0.1.0.weight"),
        ("kp_detector", "pre_feature.transition1.1.0.1.running_var"),
        ("kp_detector", "transformer.transformer.layers.11.1.fn.fn.net.3.bias"),
        ("kp_detector", "transformer.mlp_head_jacobian.1.bias"),
        ("generator", "dense_motion_network.hourglass.decoder.up_blocks.4.conv.weight"),
        ("generator", "bottleneck.r5.norm2.running_mean"),
        ("bg_predictor", "encoder.down_blocks.4.norm.weight"),
        ("bg_predictor", "fc.weight"),
    ]:
        assert name in names


def test_layouts_are_inverse_of_each_other():
    for path, shape in {("kernel",): (3, 3, 4, 5), ("x", "kernel"): (4, 5), ("motion_tokens",): (6, 7)}.items():
        array = np.random.default_rng(0).normal(size=shape)
        np.testing.assert_array_equal(from_torch_layout(path, to_torch_layout(path, array)), array)


def test_all_problems_are_named(template, state_dicts):
    del state_dicts["generator"]["final.bias"]
    state_dicts["bg_predictor"]["extra.weight"] = np.zeros(1)
    state_dicts["generator"]["first.conv.bias"] = np.zeros(3)
    with pytest.raises(UserError) as error:
        variables_from_state_dicts(state_dicts, template)
    message = str(error.value)
    for words in ["1 missing: generator.final.bias", "1 unexpected: bg_predictor.extra", "first.conv.bias has (3,)"]:
        assert words in message
