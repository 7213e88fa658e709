import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.models.blocks import BatchNorm, ConvBlock, Hourglass, Layers

torch = pytest.importorskip("torch")


def test_batch_norm_and_its_running_statistics_equal_pytorchs():
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 7)).astype(np.float32)
    reference = torch.nn.BatchNorm2d(7)
    norm = BatchNorm(train=True)
    variables = norm.init(jax.random.key(0), x)
    for _ in range(2):
        expected = reference(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
        output, updated = norm.apply(variables, x, mutable="batch_stats")
        variables |= updated
    np.testing.assert_allclose(output, expected, atol=1e-5)
    stats = variables["batch_stats"]
    np.testing.assert_allclose(stats["mean"], reference.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], reference.running_var.numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        BatchNorm().apply(variables, x),
        reference.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy(),
        atol=1e-5,
    )


def test_initialising_leaves_the_running_statistics_alone():
    x = jnp.full((2, 3, 3, 1), 5.0)
    variables = BatchNorm(train=True).init(jax.random.key(0), x)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], [0.0])


def test_bfloat16_statistics_are_float32():
    x = jnp.ones((2, 4, 4, 3), jnp.bfloat16)
    output, variables = BatchNorm(train=True).init_with_output(jax.random.key(0), x)
    assert output.dtype == jnp.bfloat16
    assert variables["batch_stats"]["var"].dtype == jnp.float32


@pytest.mark.parametrize(("resample", "size"), [("same", 8), ("up", 16), ("down", 4)])
def test_conv_block_sizes(resample, size):
    block = ConvBlock(5, Layers(), resample=resample)
    output, _ = block.init_with_output(jax.random.key(0), jnp.ones((2, 8, 8, 3)))
    assert output.shape == (2, size, size, 5)


def test_hourglass_ends_with_its_input():
    x = jax.random.normal(jax.random.key(0), (1, 16, 16, 3))
    output, _ = Hourglass(4, 16, 3, Layers()).init_with_output(jax.random.key(1), x)
    assert output.shape == (1, 16, 16, 7)
    np.testing.assert_array_equal(output[..., 4:], x)
