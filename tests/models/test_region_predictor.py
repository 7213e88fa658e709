import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_part

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.ops import affine


@pytest.mark.parametrize(("kind", "prefix"), [("principal_axes", ""), ("regression", "regression__")])
def test_official_predictor(golden, kind, prefix):
    official, images = golden("mraa"), jnp.asarray(golden("motion_transformer")["images"], jnp.float32) / 255
    config = taichi256.get_config("mraa")
    config.region_predictor.affine = kind
    predictor = create_animation_model(config).motion_estimator
    template = jax.eval_shape(predictor.init, jax.random.key(0), images)
    motion = jax.jit(predictor.apply)(rule_part("motion_estimator", template), images)
    np.testing.assert_allclose(motion.keypoints, official[f"{prefix}shift"], atol=1e-5)
    np.testing.assert_allclose(motion.covariance, official[f"{prefix}covar"], atol=1e-5)
    np.testing.assert_allclose(motion.affine, official[f"{prefix}affine"], atol=1e-5)
    if kind == "principal_axes":
        # The official Tai-Chi configuration; the poster prints 14.20 M.
        assert sum(leaf.size for leaf in jax.tree.leaves(template["params"])) == 14_146_728
        square = affine.compose(motion.affine, affine.transpose(motion.affine))
        np.testing.assert_allclose(square, official["affine_affineT"], atol=1e-5)


def test_a_region_in_one_pixel_has_finite_gradients():
    """A heat map that is all in one place has no extent, and the axes of none."""
    config = taichi256.get_config("mraa,debug")
    predictor = create_animation_model(config).motion_estimator
    image = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3))
    variables = predictor.init(jax.random.key(1), image)
    variables["params"]["regions"]["kernel"] *= 1e4

    def loss(params):
        motion = predictor.apply({**variables, "params": params}, image)
        return jnp.sum(affine.inverse(motion.affine)) + jnp.sum(affine.inverse(motion.covariance))

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))
