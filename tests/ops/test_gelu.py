"""GELU against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.gelu import gelu


def exact(x):
    return jax.nn.gelu(x, approximate=False)


def draw(*shape, dtype=np.float32):
    return jnp.asarray(3 * np.random.default_rng(0).normal(size=shape), dtype)


def test_values_and_slopes(dtype):
    x = jnp.concatenate([draw(100, dtype=dtype), jnp.asarray([0, -40, 40], dtype)])
    slope = jax.jit(jax.vmap(jax.grad(gelu)))(x)
    assert gelu(x).dtype == slope.dtype == dtype
    np.testing.assert_array_equal(jax.jit(gelu)(x), jax.jit(exact)(x))
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(exact))(x), atol=1e-6 if dtype == "float32" else 1e-14)


def test_half_precision():
    x = draw(100, dtype=jnp.bfloat16)
    slope = jax.vmap(jax.grad(gelu))(x)
    assert gelu(x).dtype == slope.dtype == jnp.bfloat16
    wide = jax.vmap(jax.grad(exact))(x.astype(jnp.float32))
    np.testing.assert_allclose(slope.astype(jnp.float32), wide, atol=5e-3)


@pytest.mark.optimized
def test_the_slope_alone_is_kept_on_cpu():
    """Of each of several layers, beside what its products need."""
    x, kernels = draw(512, 64), [draw(64, 64) for _ in range(6)]

    def loss(kernels):
        y = x
        for kernel in kernels:
            y = gelu(y @ kernel)
        return jnp.sum(y**2)

    def temporary(gradient):
        program = jax.jit(gradient, compiler_options=compiler_options()).lower(kernels).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporary(jax.grad(loss)) < (2 * len(kernels) + 4) * x.nbytes
