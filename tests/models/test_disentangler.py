"""The disentangler held to the official network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import abstract_variables, rule_variables

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.motion import Motion


@functools.cache
def official_disentangler(*, revert_axis_swap: bool = True):
    """The full-size network with the recorded weights; the other parts are not made."""
    config = taichi256.get_config("mraa_avd")
    config.model.revert_axis_swap = revert_axis_swap
    model = create_animation_model(config)
    template = abstract_variables(model, config.model.image_size)
    # The names' rules want to see the estimator; its smallest array is enough.
    regions = {"motion_estimator": {"regions": {"bias": template["params"]["motion_estimator"]["regions"]["bias"]}}}
    own = {name: {"disentangler": tree["disentangler"]} for name, tree in template.items()}
    variables = rule_variables({**own, "params": {**own["params"], **regions}})
    return jax.jit(lambda source, driving: model.apply(variables, source, driving, method="disentangle"))


def recorded_pair(golden, name: str) -> tuple[Motion, Motion, dict[str, np.ndarray]]:
    """Motions of source and driving frame, and what the official network made of them."""
    if name == "normalize_kp":
        arrays = golden(name)
        source, driving = (Motion(arrays[f"mraa_{n}_shift"], arrays[f"mraa_{n}_affine"]) for n in ("source", "driving"))
        return source, driving, {k: arrays[f"mraa_avd__{k}"] for k in ("shift", "affine", "covar")}
    arrays = golden("disentangler")
    source = Motion(arrays["source_region_shift"], arrays["source_region_affine"])
    expected = {k: arrays[f"avd__{k}"] for k in ("shift", "affine", "covar")}
    return source, jax.tree.map(lambda x: x[::-1], source), expected


@pytest.mark.parametrize("name", ["disentangler", "normalize_kp"])
def test_official_motions(golden, name):
    source, driving, expected = recorded_pair(golden, name)
    motion = official_disentangler()(source, driving)
    np.testing.assert_allclose(motion.keypoints, expected["shift"], atol=2e-6)
    np.testing.assert_allclose(motion.affine, expected["affine"], atol=2e-6)
    np.testing.assert_allclose(motion.covariance, expected["covar"], atol=2e-6)


def test_signs_of_the_sources_affines_do_not_matter(golden):
    """Principal axes leave them open; without `revert_axis_swap` they reach the network."""
    source, driving, _ = recorded_pair(golden, "normalize_kp")
    signs = jnp.where(jnp.arange(10) % 2, 1.0, -1.0)[:, None, None]
    flipped = source.replace(affine=source.affine * signs)
    for revert, agree in ((True, True), (False, False)):
        network = official_disentangler(revert_axis_swap=revert)
        difference = jnp.abs(network(source, driving).keypoints - network(flipped, driving).keypoints).max()
        assert (difference < 1e-6) == agree
