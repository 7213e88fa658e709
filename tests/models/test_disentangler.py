"""The disentangler held to the official network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_part

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.motion import Motion


def official_disentangler(*, revert_axis_swap: bool = True):
    """The full-size network with the recorded weights."""
    config = taichi256.get_config("mraa_avd")
    config.model.revert_axis_swap = revert_axis_swap
    network = create_animation_model(config).disentangler
    motion = Motion(jnp.zeros((1, 10, 2)), jnp.ones((1, 10, 2, 2)))
    template = jax.eval_shape(network.init, jax.random.key(0), motion, motion)
    variables = rule_part("disentangler", template)
    return jax.jit(lambda source, driving: network.apply(variables, source, driving))


@pytest.fixture(scope="module")
def network():
    return official_disentangler()


def recorded_pair(golden, name: str) -> tuple[Motion, Motion, dict[str, np.ndarray]]:
    """Motions of source and driving frame, and what the official network made of them."""
    arrays, fields = golden(name), ("shift", "affine", "covar")
    if name == "mraa":
        source = Motion(arrays["source_region_shift"], arrays["source_region_affine"])
        return source, jax.tree.map(lambda x: x[::-1], source), {field: arrays[f"avd__{field}"] for field in fields}
    source, driving = (Motion(arrays[f"mraa_{n}_shift"], arrays[f"mraa_{n}_affine"]) for n in ("source", "driving"))
    return source, driving, {field: arrays[f"mraa_avd__{field}"] for field in fields}


@pytest.mark.parametrize("name", ["mraa", "normalize_kp"])
def test_official_motions(golden, network, name):
    source, driving, expected = recorded_pair(golden, name)
    motion = network(source, driving)
    np.testing.assert_allclose(motion.keypoints, expected["shift"], atol=2e-6)
    np.testing.assert_allclose(motion.affine, expected["affine"], atol=2e-6)
    np.testing.assert_allclose(motion.covariance, expected["covar"], atol=2e-6)


@pytest.mark.parametrize("revert_axis_swap", [True, False])
def test_signs_of_the_sources_affines(golden, network, revert_axis_swap):
    """Principal axes leave them open: they do not matter, unless `revert_axis_swap` is off."""
    source, driving, _ = recorded_pair(golden, "normalize_kp")
    signs = jnp.where(jnp.arange(10) % 2, 1.0, -1.0)[:, None, None]
    network = network if revert_axis_swap else official_disentangler(revert_axis_swap=False)
    motion, flipped = network(source, driving), network(source.replace(affine=source.affine * signs), driving)
    assert (jnp.abs(motion.keypoints - flipped.keypoints).max() < 1e-6) == revert_axis_swap
