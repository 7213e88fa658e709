import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_part

from motion_transformer_jax.configs import vox256
from motion_transformer_jax.models.animation_model import create_discriminator


def official_config(*, spectral_norm: bool):
    config = vox256.get_config("fomm_adv")
    config.discriminator.spectral_norm = spectral_norm
    config.discriminator.use_keypoints = not spectral_norm
    return config


@pytest.mark.parametrize("name", ["disc", "disc_sn_eval", "disc_sn_train"])
def test_official_discriminator(golden, name):
    official = golden("fomm")
    images = jnp.asarray(golden("motion_transformer")["images"], jnp.float32) / 255
    discriminator = create_discriminator(official_config(spectral_norm="sn" in name), train="train" in name)
    template = jax.eval_shape(discriminator.init, jax.random.key(0), images, official["value"])
    buffers = {key.removeprefix("sn_buffer__"): array for key, array in official.items() if "sn_buffer" in key}
    variables = rule_part("discriminator", template, recorded=buffers)
    judge = jax.jit(lambda *arguments: discriminator.apply(*arguments, mutable=["batch_stats"]))
    [(features, scores)], updated = judge(variables, images, official["value"])
    np.testing.assert_allclose(scores, official[f"{name}__prediction_map"], atol=1e-5)
    assert len(features) == 4
    for i, feature in enumerate(features):
        for statistic in ("mean", "std"):
            seen = getattr(feature, statistic)((1, 2))
            np.testing.assert_allclose(seen, official[f"{name}__feature{i}_{statistic}"], atol=1e-5)
        recorded = official[f"{name}__feature{i}_stride16"]
        np.testing.assert_allclose(feature[:, ::16, ::16], recorded, atol=2e-5)
    if "train" in name:
        for layer, key in {"block_2_conv": "down_blocks.2.conv", "head": "conv"}.items():
            for vector, array in updated["batch_stats"]["scale_1"][layer].items():
                after = official[f"disc_sn_train__buffer_after__discs.1.{key}.weight_{vector}"]
                np.testing.assert_allclose(array, after, atol=1e-6)


def tiny(**fields):
    config = vox256.get_config("fomm_adv,debug")
    config.discriminator.update(fields)
    discriminator = create_discriminator(config, train=True)
    image, keypoints = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3)), jnp.zeros((2, 4, 2))
    return discriminator, discriminator.init(jax.random.key(1), image, keypoints), image, keypoints


def test_each_scale_has_a_network_of_its_own():
    discriminator, variables, image, keypoints = tiny(scales=(1.0, 0.5))
    assert set(variables["params"]) == {"scale_1", "scale_0-5"}
    sizes = [scores.shape[1] for _, scores in discriminator.apply(variables, image, keypoints)]
    assert sizes == [11, 3]


def test_keypoints_are_seen():
    discriminator, variables, image, keypoints = tiny(use_keypoints=True)
    [(_, scores)] = discriminator.apply(variables, image, keypoints)
    [(_, moved)] = discriminator.apply(variables, image, keypoints + 0.5)
    assert not np.allclose(scores, moved)


def test_power_iteration_finds_the_spectral_norm():
    discriminator, variables, image, keypoints = tiny(spectral_norm=True)
    for _ in range(30):
        _, updated = discriminator.apply(variables, image, keypoints, mutable=["batch_stats"])
        variables = {**variables, **updated}
    kernel = variables["params"]["scale_1"]["block_1_conv"]["kernel"]
    vectors = variables["batch_stats"]["scale_1"]["block_1_conv"]
    matrix = np.asarray(kernel).transpose(3, 2, 0, 1).reshape(kernel.shape[-1], -1)
    estimate = vectors["u"] @ matrix @ vectors["v"]
    np.testing.assert_allclose(estimate, np.linalg.norm(matrix, ord=2), rtol=1e-2)
