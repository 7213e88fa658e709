import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_variables

from motion_transformer_jax.configs import ted384, vox256
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.token_transformer import image_patches, sine_position_table
from motion_transformer_jax.ops.resize import antialias_downsample

# The official experiments in scope, as changes to the VoxCeleb configuration's `transformer` and `model` groups.
VARIANTS = {
    "s_sine_full": {"backbone": "stem"},
    "s_sine": {"backbone": "stem", "position": "sine"},
    "s_learnable": {"backbone": "stem", "position": "learnable"},
    "s_none": {"backbone": "stem", "position": "none"},
    "b_w48": {"backbone": "hrnet_w48"},
    "b_depth4": {"depth": 4},
    "b_depth8": {"depth": 8},
    "b_pos_none": {"position": "none"},
    "b_pos_sine": {"position": "sine"},
    "b_pos_learnable": {"position": "learnable"},
    "b_fix_img2motion": {"image_attends_to_motion": False},
    "b_data_preprocess": {"imagenet_normalize": True},
    "b_num_kp5_heads4": {"num_keypoints": 5, "heads": 4},
    "l_sine_full": {"stacks": 3},
    "l_sine": {"stacks": 3, "position": "sine"},
    "l_learnable": {"stacks": 3, "position": "learnable"},
}


def official_config(changes: dict):
    config = vox256.get_config()
    for name, value in changes.items():
        (config.model if name in config.model else config.transformer)[name] = value
    return config


def abstract_estimator(model, image_size: int) -> dict:
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, method="estimate"), image)


def estimate(config, images: np.ndarray, **options):
    """Not jitted on purpose: the variants share compiled operations, which is far quicker than a program for each."""
    model = create_animation_model(config)
    variables = rule_variables(abstract_estimator(model, images.shape[1]))
    images = jnp.asarray(images, jnp.float32) / 255
    return model.apply(variables, images, method="estimate", **options)


def parameter_count(config) -> int:
    shapes = abstract_estimator(create_animation_model(config), config.model.image_size)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_every_layer_of_the_official_estimator(golden):
    official = {k.removeprefix("b_w32__"): v for k, v in golden("motion_transformer").items()}
    motion, state = estimate(
        vox256.get_config(), official["images"], capture_intermediates=True, mutable="intermediates"
    )
    seen = state["intermediates"]["motion_estimator"]
    features = seen["backbone"]["__call__"][0]
    np.testing.assert_allclose(features[:, ::8, ::8], official["hrnet_sub8"], atol=2e-4)
    np.testing.assert_allclose(features.mean((1, 2)), official["hrnet_mean"], atol=2e-4)
    layer1 = seen["backbone"]["stem"]["__call__"][0]
    np.testing.assert_allclose(layer1.mean((1, 2)), official["layer1_mean"], atol=1e-4)
    tokens = seen["transformer"]
    np.testing.assert_allclose(
        tokens["patch_embedding"]["__call__"][0][:, ::16], official["patch_embed_sub16"], atol=2e-4
    )
    for i in range(12):
        layer = tokens[f"stack_0_layer_{i}"]["__call__"][0]
        np.testing.assert_allclose(layer[:, :20], official[f"layer{i:02d}_motion"], atol=2e-4, err_msg=f"layer {i}")
    np.testing.assert_allclose(layer[:, 20::16], official["last_image_sub16"], atol=3e-4)
    np.testing.assert_allclose(motion.keypoints, official["value"], atol=1e-5)
    np.testing.assert_allclose(motion.affine, official["jacobian"], atol=1e-5)


@pytest.mark.optimized
@pytest.mark.parametrize("name", VARIANTS)
def test_official_variant(golden, name):
    official = golden("motion_transformer")
    motion = estimate(official_config(VARIANTS[name]), official["images"])
    np.testing.assert_allclose(motion.keypoints, official[f"{name}__value"], atol=2e-5)
    np.testing.assert_allclose(motion.affine, official[f"{name}__jacobian"], atol=1e-5)


@pytest.mark.optimized
def test_official_ted_talks_size(golden):
    official = golden("motion_transformer")
    motion = estimate(ted384.get_config(), official["images384"])
    np.testing.assert_allclose(motion.keypoints, official["ted384_b__value"], atol=2e-5)
    np.testing.assert_allclose(motion.affine, official["ted384_b__jacobian"], atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("", 12.23), ("stem", 5.56), ("hrnet_w48", 21.30), ("depth4", 9.27), ("depth8", 10.75)],
)
def test_parameter_counts_are_the_posters(variant, millions):
    assert round(parameter_count(vox256.get_config(variant)) / 1e6, 2) == millions


def test_sine_table_is_the_official_one(golden):
    table = sine_position_table(16, 16, 192)
    np.testing.assert_allclose(table, golden("motion_transformer")["pos_sine_16x16"], atol=1e-6)


def test_patches_are_row_major_with_channels_fastest():
    features = np.arange(4 * 6 * 2).reshape(1, 4, 6, 2)
    patches = image_patches(jnp.asarray(features), 2)
    assert patches.shape == (1, 6, 8)
    np.testing.assert_array_equal(patches[0, 1], features[0, 0:2, 2:4].reshape(-1))
    np.testing.assert_array_equal(patches[0, 3], features[0, 2:4, 0:2].reshape(-1))


def test_attention_weights_can_be_captured():
    config = vox256.get_config("debug")
    model = create_animation_model(config)
    image = jnp.zeros((2, 32, 32, 3))
    variables = model.init(jax.random.key(0), image, method="estimate")
    _, state = model.apply(variables, image, method="estimate", mutable="intermediates")
    weights = state["intermediates"]["motion_estimator"]["transformer"]["stack_0_layer_1"]["attention"]["attention"][0]
    tokens = 2 * config.model.num_keypoints + (32 // 4 // config.transformer.patch_size) ** 2
    assert weights.shape == (2, config.transformer.heads, tokens, tokens)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


def test_scale_shrinks_what_the_estimator_sees():
    config = vox256.get_config("debug")
    image = jax.random.uniform(jax.random.key(1), (2, 64, 64, 3))
    small = antialias_downsample(image, 0.5, rounding="floor")
    model = create_animation_model(config)
    variables = model.init(jax.random.key(0), small, method="estimate")
    config.transformer.scale = 0.5
    shrunk = create_animation_model(config).apply(variables, image, method="estimate")
    jax.tree.map(np.testing.assert_array_equal, shrunk, model.apply(variables, small, method="estimate"))


def test_bfloat16_stays_close_to_float32():
    config = vox256.get_config("debug")
    model = create_animation_model(config)
    image = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
    variables = model.init(jax.random.key(0), image, method="estimate")
    config.dtype = "bfloat16"
    half = create_animation_model(config).apply(variables, image, method="estimate")
    full = model.apply(variables, image, method="estimate")
    assert half.keypoints.dtype == jnp.float32
    np.testing.assert_allclose(half.keypoints, full.keypoints, atol=0.02)
