import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from motion_transformer_jax.models.blocks import BatchNorm, Conv, ConvBlock, Hourglass, Layers
from motion_transformer_jax.ops.normalization import Normalized

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


def norm_variables(features):
    rng = np.random.default_rng(1)
    params = {name: rng.normal(size=features).astype(np.float32) for name in ("scale", "bias")}
    statistics = {name: rng.uniform(0.5, 2, features).astype(np.float32) for name in ("mean", "var")}
    return {"params": params, "batch_stats": statistics}


def draw_batches():
    """Three batches of different mean and spread, [3, 4, 5, 6, 7]."""
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(mean, spread, (4, 5, 6, 7)) for mean, spread in [(0, 1), (3, 2), (-5, 0.5)]]).astype(
        np.float32
    )


def norm_in_turn(variables, batches):
    """The outputs of single batches, and the statistics after the last."""
    outputs = []
    for batch in batches:
        output, updated = BatchNorm(train=True).apply(variables, batch, mutable="batch_stats")
        variables = variables | updated
        outputs.append(output)
    return jnp.stack(outputs), variables["batch_stats"]


def test_three_batches_at_once_are_three_in_turn():
    batches, variables = draw_batches(), norm_variables(7)
    merged = batches.reshape(12, 5, 6, 7)
    at_once, updated = BatchNorm(train=True, num_batches=3).apply(variables, merged, mutable="batch_stats")
    expected, statistics = norm_in_turn(variables, batches)
    assert at_once.shape == merged.shape
    np.testing.assert_allclose(at_once.reshape(batches.shape), expected, atol=1e-5)
    for name, value in statistics.items():
        np.testing.assert_allclose(updated["batch_stats"][name], value, rtol=1e-5)
    one, _ = BatchNorm(train=True).apply(variables, merged, mutable="batch_stats")
    assert np.abs(one - at_once).max() > 0.1  # or the batches would not matter


def test_gradients_of_three_batches_at_once():
    batches, variables = draw_batches(), norm_variables(7)
    weights = np.random.default_rng(2).normal(size=batches.shape).astype(np.float32)

    def at_once(params, batches):
        variables_ = variables | {"params": params}
        norm = BatchNorm(train=True, num_batches=3)
        output, _ = norm.apply(variables_, batches.reshape(12, 5, 6, 7), mutable="batch_stats")
        return jnp.sum(weights * output.reshape(batches.shape))

    def in_turn(params, batches):
        return jnp.sum(weights * norm_in_turn(variables | {"params": params}, batches)[0])

    actual, expected = (jax.jit(jax.grad(f, (0, 1)))(variables["params"], batches) for f in (at_once, in_turn))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), actual, expected)


def test_three_batches_over_two_devices():
    """Each device has its half of each batch, one half behind the other."""
    batches, variables = draw_batches(), norm_variables(7)
    halves = batches.reshape(3, 2, 2, 5, 6, 7).swapaxes(0, 1).reshape(12, 5, 6, 7)
    norm = BatchNorm(train=True, num_batches=3, axis_name="data")
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])

    def apply(variables, x):
        return norm.apply(variables, x, mutable="batch_stats")

    specs = {"in_specs": (jax.P(), jax.P("data")), "out_specs": (jax.P("data"), jax.P())}
    output, updated = jax.jit(jax.shard_map(apply, mesh=mesh, check_vma=False, **specs))(variables, halves)
    expected, statistics = norm_in_turn(variables, batches)
    output = output.reshape(2, 3, 2, 5, 6, 7).swapaxes(0, 1).reshape(batches.shape)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for name, value in statistics.items():
        np.testing.assert_allclose(updated["batch_stats"][name], value, rtol=1e-5)


def test_the_number_of_batches_matters_in_training_only():
    x, variables = draw_batches()[0], norm_variables(7)
    np.testing.assert_array_equal(BatchNorm(num_batches=3).apply(variables, x), BatchNorm().apply(variables, x))


CONVOLUTIONS = {
    "3x3": {"kernel_size": 3, "padding": 1},
    "1x1": {"kernel_size": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "without bias": {"kernel_size": 4, "use_bias": False},
    "upsampled": {"kernel_size": 3, "padding": 1, "upsample": True},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_convolution_is_flaxs(name, dtype):
    options = CONVOLUTIONS[name]
    x = jax.random.normal(jax.random.key(0), (2, 9, 10, 5))
    conv = Conv(6, **options, dtype=dtype)
    variables = conv.init(jax.random.key(1), x)
    bias = {"bias": jax.random.normal(jax.random.key(2), (6,))} if options.get("use_bias", True) else {}
    variables = {"params": {**variables["params"], **bias}}
    flaxs = nn.Conv(
        features=6,
        kernel_size=(options["kernel_size"],) * 2,
        strides=options.get("stride", 1),
        padding=options.get("padding", 0),
        use_bias=bool(bias),
    )

    def expected(variables, x):
        return flaxs.apply(variables, jax.image.resize(x, (2, 18, 20, 5), "nearest") if "upsample" in options else x)

    def with_gradients(apply):
        return jax.jit(jax.value_and_grad(lambda *args: jnp.sum(jnp.sin(apply(*args).astype(jnp.float32))), (0, 1)))

    output = conv.apply(variables, x)
    assert output.dtype == (dtype or jnp.float32)
    np.testing.assert_allclose(output.astype(jnp.float32), expected(variables, x), atol=0.05 if dtype else 1e-5)
    if dtype is None:
        actual = with_gradients(conv.apply)(variables, x)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), actual, with_gradients(expected)(variables, x)
        )


def test_constant_images_are_for_plain_convolutions():
    conv = Conv(2, 3, padding=1, upsample=True, num_constants=1)
    with pytest.raises(ValueError, match="plain convolutions"):
        conv.init(jax.random.key(0), jnp.zeros((2, 4, 4, 3)))


def test_bfloat16_images_stay_bfloat16():
    """In the compute type, also where the parameters are float32."""
    x = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    for upsample in (False, True):
        conv = Conv(2, 3, padding=1, upsample=upsample, dtype=jnp.bfloat16)
        output, variables = conv.init_with_output(jax.random.key(0), x)
        assert output.dtype == jnp.bfloat16
        assert variables["params"]["kernel"].dtype == jnp.float32


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


def test_batches_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="4 images are not 3 batches of one size"):
        BatchNorm(train=True, num_batches=3).init(jax.random.key(0), jnp.zeros((4, 2, 2, 1)))


@pytest.mark.parametrize("train", [False, True])
def test_a_norm_left_to_the_convolution(train):
    """Gives the same numbers, statistics and gradients; where the running statistics are used, nothing is left."""
    x = draw_batches().reshape(12, 5, 6, 7)
    layers = Layers(train=train, num_batches=3)
    conv = layers.conv(4, 3)
    kernel = conv.init(jax.random.key(0), x)["params"]

    def run(deferred):
        norm = layers.norm(relu=True, deferred=deferred)

        def result(params, x):
            variables = norm_variables(7) | {"params": params["norm"]}
            y, updated = norm.apply(variables, x, mutable="batch_stats")
            assert isinstance(y, Normalized) == (deferred and train)
            output = conv.apply({"params": params["conv"]}, y)
            return jnp.sum(jnp.sin(output)), (output, updated)

        params = {"norm": norm_variables(7)["params"], "conv": kernel}
        return jax.jit(jax.value_and_grad(result, (0, 1), has_aux=True))(params, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4), run(True), run(False))


def test_a_norm_left_to_a_convolution_in_bfloat16():
    x = draw_batches().reshape(12, 5, 6, 7).astype(jnp.bfloat16)
    layers = Layers(jnp.bfloat16, train=True)
    norm, conv = layers.norm(relu=True, deferred=True), layers.conv(4, 3)
    y, _ = norm.apply(norm_variables(7), x, mutable="batch_stats")
    output, _ = conv.init_with_output(jax.random.key(0), y)
    assert y.x.dtype == output.dtype == jnp.bfloat16 and y.mean.dtype == jnp.float32


@pytest.mark.parametrize("upsample", [False, True])
def test_convolution_with_relu(upsample):
    x = draw_batches()[0]
    plain, with_relu = (Layers().conv(4, 3, upsample=upsample, relu=relu) for relu in (False, True))
    variables = plain.init(jax.random.key(0), x)
    np.testing.assert_allclose(with_relu.apply(variables, x), nn.relu(plain.apply(variables, x)), atol=1e-6)
