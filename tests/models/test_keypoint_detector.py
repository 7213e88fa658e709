import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_part

from motion_transformer_jax.configs import vox256
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.keypoint_detector import AffineMap, KeypointDetector


def test_official_detector(golden):
    official, images = golden("fomm"), jnp.asarray(golden("motion_transformer")["images"], jnp.float32) / 255
    detector = create_animation_model(vox256.get_config("fomm")).motion_estimator
    template = jax.eval_shape(detector.init, jax.random.key(0), images)
    motion = jax.jit(detector.apply)(rule_part("motion_estimator", template), images)
    np.testing.assert_allclose(motion.keypoints, official["value"], atol=1e-5)
    np.testing.assert_allclose(motion.affine, official["jacobian"], atol=1e-5)
    assert motion.covariance is None
    # The poster's 14.21 M.
    assert sum(leaf.size for leaf in jax.tree.leaves(template["params"])) == 14_215_368


@pytest.mark.parametrize("shared", [True, False])
def test_affines_start_as_the_identity(shared):
    detector = KeypointDetector(
        *(3, 8, 16, 2), scale=0.5, temperature=0.1, padding=3, shared_affine=shared, layers=Layers()
    )
    image = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
    motion, variables = detector.init_with_output(jax.random.key(1), image)
    np.testing.assert_allclose(motion.affine, np.broadcast_to(np.eye(2), (2, 3, 2, 2)), atol=1e-6)
    assert variables["params"]["affine"]["conv"]["kernel"].shape[-1] == (4 if shared else 12)


def test_one_map_of_affines_serves_every_heat_map():
    """With heat maps of single pixels the affine is the map's entry at that pixel."""
    features = jax.random.normal(jax.random.key(0), (1, 8, 8, 5))
    heatmap = np.zeros((1, 8, 8, 2), np.float32)
    heatmap[0, 1, 2, 0] = heatmap[0, 6, 3, 1] = 1
    layer = AffineMap(1, 3, Layers())
    variables = layer.init(jax.random.key(1), features, heatmap)
    kernel = jax.random.normal(jax.random.key(2), variables["params"]["conv"]["kernel"].shape)
    variables["params"]["conv"]["kernel"] = kernel
    dimensions = ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(features, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
    expected = maps[0, [1, 6], [2, 3]].reshape(2, 2, 2) + np.eye(2)
    np.testing.assert_allclose(layer.apply(variables, features, heatmap)[0], expected, rtol=1e-4, atol=1e-4)


def test_a_keypoint_follows_its_blob():
    """Shifting the image by whole pixels of the heat map shifts the keypoints by as much."""
    detector = KeypointDetector(
        *(2, 8, 16, 1), scale=1.0, temperature=0.1, padding=3, shared_affine=False, layers=Layers()
    )
    image = np.zeros((1, 32, 32, 3), np.float32)
    image[0, 10:14, 8:12] = 1
    variables = detector.init(jax.random.key(0), image)
    # Averaging kernels everywhere: the blob is where the heat map is hottest.
    weights = jax.tree.map(lambda x: jnp.ones_like(x) / x[..., 0].size, variables["params"])
    weights["keypoints"]["kernel"] *= 100
    apply = jax.jit(lambda x: detector.apply({**variables, "params": weights}, x).keypoints)
    shift = np.array([8, 4]) * 2 / 31
    moved = np.roll(image, (4, 8), axis=(1, 2))
    np.testing.assert_allclose(apply(moved) - apply(image), np.broadcast_to(shift, (1, 2, 2)), atol=0.02)
