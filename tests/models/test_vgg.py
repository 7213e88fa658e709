"""VGG features of constant images beside others."""

import jax
import jax.numpy as jnp
import numpy as np

from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.vgg import VGG19, random_vgg19

SIZE = 16


def test_no_gradient_flows_through_constant_images():
    params, vgg = random_vgg19(0, num_taps=2), VGG19(Layers(), num_taps=2)
    images = jax.random.uniform(jax.random.key(0), (3, SIZE, SIZE, 3))

    def sum_and_gradient(images, count):
        def summed(images):
            return sum(jnp.sum(tap) for tap in vgg.apply({"params": params}, images, num_constants=count))

        return jax.value_and_grad(summed)(images)

    sum_and_gradient = jax.jit(sum_and_gradient, static_argnums=1)
    (total, whole), (same, partly) = sum_and_gradient(images, 0), sum_and_gradient(images, 2)
    np.testing.assert_allclose(same, total, rtol=1e-6)
    np.testing.assert_allclose(partly[:1], whole[:1], rtol=1e-4, atol=1e-5 * np.abs(whole).max())
    assert np.abs(whole[1:]).max() > 0
    np.testing.assert_array_equal(partly[1:], 0)
