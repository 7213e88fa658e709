import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import random_frames, random_variables, tiny_config, tiny_variables

from motion_transformer_jax.evaluation.attention import _attend, attend, has_attention
from motion_transformer_jax.models.animation_model import create_animation_model

IMAGES = random_frames(2)


def grid_side(config):
    return config.model.image_size // 4 // config.transformer.patch_size


def test_attention_is_a_share_of_all_tokens_split_in_motions_and_patches():
    config = tiny_config()
    attention = attend(config, tiny_variables(), IMAGES)
    tokens, side = 2 * config.model.num_keypoints, grid_side(config)
    leading = (config.transformer.depth * config.transformer.stacks, 2, config.transformer.heads, tokens)
    assert attention.to_motion.shape == (*leading, tokens)
    assert attention.to_image.shape == (*leading, side, side)
    assert attention.to_image.dtype == np.float32
    np.testing.assert_allclose(attention.to_motion.sum(-1) + attention.to_image.sum((-1, -2)), 1, atol=1e-5)
    np.testing.assert_array_equal(attention.of_image(1).to_image, attention.to_image[:, 1])


def test_layers_of_all_stacks_in_turn():
    config = tiny_config()
    config.transformer.stacks = 2
    attention = attend(config, random_variables(config), IMAGES)
    assert len(attention.to_image) == 2 * config.transformer.depth
    assert not np.allclose(attention.to_image[0], attention.to_image[config.transformer.depth], atol=1e-4)


def test_image_tokens_lie_on_the_grid_row_by_row():
    config = tiny_config()
    images = np.repeat(IMAGES[:1], 2, axis=2)
    attention = attend(config, tiny_variables(), images)
    side, tokens = grid_side(config), 2 * config.model.num_keypoints
    assert attention.to_image.shape[-2:] == (side, 2 * side)
    _, state = create_animation_model(config).apply(
        tiny_variables(), jnp.asarray(images, jnp.float32) / 255, method="estimate", mutable="intermediates"
    )
    layer = state["intermediates"]["motion_estimator"]["transformer"]["stack_0_layer_1"]
    weights = layer["attention"]["attention"][0][0, :, 3, tokens:]
    row, column = side - 1, 1
    np.testing.assert_allclose(
        attention.to_image[1, 0, :, 3, row, column], weights[:, row * 2 * side + column], atol=1e-5
    )


def test_a_smaller_view_of_the_image_has_fewer_tokens():
    config = tiny_config()
    config.transformer.scale = 0.5
    attention = attend(config, random_variables(config), IMAGES)
    assert attention.to_image.shape[-2:] == (grid_side(config) // 2, grid_side(config) // 2)
    np.testing.assert_allclose(attention.to_motion.sum(-1) + attention.to_image.sum((-1, -2)), 1, atol=1e-5)


def test_without_learned_motion_tokens_the_first_patches_stand_in_both():
    config = tiny_config()
    config.transformer.update(backbone="stem", position="none", patch_size=1)
    attention = attend(config, random_variables(config), IMAGES)
    side, tokens = grid_side(config), 2 * config.model.num_keypoints
    assert attention.to_image.shape[-2:] == (side, side)
    np.testing.assert_allclose(attention.to_image.sum((-1, -2)), 1, atol=1e-5)
    patches = attention.to_image.reshape(*attention.to_image.shape[:-2], -1)
    np.testing.assert_array_equal(patches[..., :tokens], attention.to_motion)


def test_it_is_compiled_once_for_a_config():
    compiled = _attend._cache_size
    attend(tiny_config(), tiny_variables(), IMAGES)
    before = compiled()
    attend(tiny_config(), tiny_variables(), IMAGES[::-1])
    assert compiled() == before


def test_taking_it_out_changes_and_costs_nothing():
    config = tiny_config()
    model, variables = create_animation_model(config), tiny_variables()
    images = jnp.asarray(IMAGES, jnp.float32) / 255

    def ordinary(variables, images):
        return model.apply(variables, images, method="estimate")

    def captured(variables, images):
        return model.apply(variables, images, method="estimate", mutable="intermediates")[0]

    def operations(function):
        return [equation.primitive.name for equation in jax.make_jaxpr(function)(variables, images).jaxpr.eqns]

    assert operations(ordinary) == operations(captured)
    layers = config.transformer.depth * config.transformer.stacks
    assert str(jax.make_jaxpr(captured)(variables, images)).count(" exp ") == layers  # one softmax each


@pytest.mark.parametrize("variant", ["", "fomm", "mraa"])
def test_only_the_motion_transformer_has_attention(variant):
    from motion_transformer_jax.configs import demo

    assert has_attention(demo.get_config(variant)) == (variant == "")
