import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_part

from motion_transformer_jax.models.background import BackgroundPredictor
from motion_transformer_jax.models.blocks import Layers


def predict(kind, images):
    predictor = BackgroundPredictor(kind, base_features=32, max_features=1024, num_blocks=5, layers=Layers())
    images = jnp.asarray(images, jnp.float32) / 255
    template = jax.eval_shape(lambda x: predictor.init(jax.random.key(0), x, x), images)
    if not template:
        return predictor.apply({}, images, images[::-1])
    return predictor.apply(rule_part("background_predictor", template), images, images[::-1])


@pytest.mark.parametrize("kind", ["affine", "perspective", "shift"])
def test_official_predictor(golden, kind):
    expected = golden("generator")[f"mraa_{kind}"]
    np.testing.assert_allclose(predict(kind, golden("motion_transformer")["images"]), expected, atol=1e-5)


def test_zero_is_the_identity():
    matrices = predict("zero", np.zeros((2, 64, 64, 3), np.uint8))
    np.testing.assert_array_equal(matrices, np.broadcast_to(np.eye(3), (2, 3, 3)))


def test_training_starts_from_the_identity():
    predictor = BackgroundPredictor("affine", base_features=8, max_features=16, num_blocks=2, layers=Layers())
    image = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3))
    matrices, _ = predictor.init_with_output(jax.random.key(1), image, image)
    np.testing.assert_allclose(matrices, np.eye(3)[None], atol=1e-6)
