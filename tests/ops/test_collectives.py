import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.collectives import mean_over_devices


@pytest.mark.parametrize("count", [1, 2, 4])
def test_mean_over_devices(count):
    x = jnp.arange(8.0).reshape(count, -1)
    mapped = jax.vmap(lambda x: mean_over_devices({"a": x}, "data")["a"], axis_name="data")
    np.testing.assert_allclose(mapped(x), np.broadcast_to(x.mean(0), x.shape))
    assert ("psum" in str(jax.make_jaxpr(mapped)(x)) or "reduce_sum" in str(jax.make_jaxpr(mapped)(x))) == (count > 1)


def test_without_an_axis_nothing_changes():
    x = jnp.ones(3)
    assert mean_over_devices(x, None) is x
