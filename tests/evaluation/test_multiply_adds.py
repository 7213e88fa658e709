"""Counted multiply-adds against counts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from motion_transformer_jax.evaluation.multiply_adds import MultiplyAdds, count_multiply_adds

NUMBERS = ("NHWC", "HWIO", "NHWC")


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, np.float32)


def layers(function, variables, *inputs):
    """The count, when there is nothing but layers."""
    counted = count_multiply_adds(function, variables, *inputs)
    assert counted == MultiplyAdds(layers=counted.layers)
    return counted.layers


def conv(w, x, *, strides=(1, 1), padding="VALID", **options):
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=NUMBERS, **options)


def test_dense():
    assert (
        layers(lambda w, x: x @ w["kernel"] + w["bias"], {"kernel": shape(3, 4), "bias": shape(4)}, shape(5, 3)) == 60
    )


@pytest.mark.parametrize(
    ("kernel", "image", "options", "products"),
    [
        ((3, 3, 2, 5), (1, 8, 6, 2), {}, 6 * 4 * 5 * 9 * 2),
        ((3, 3, 2, 5), (4, 8, 6, 2), {"padding": "SAME"}, 4 * 8 * 6 * 5 * 9 * 2),  # padding counts
        ((3, 3, 2, 5), (1, 8, 6, 2), {"strides": (2, 2), "padding": ((1, 1), (1, 1))}, 4 * 3 * 5 * 9 * 2),
        ((3, 1, 2, 6), (1, 8, 6, 4), {"feature_group_count": 2}, 6 * 6 * 6 * 3 * 2),
        ((3, 3, 1, 4), (1, 8, 8, 4), {"feature_group_count": 4}, 6 * 6 * 4 * 9),  # depthwise
        ((3, 3, 2, 5), (1, 8, 8, 2), {"rhs_dilation": (2, 2)}, 4 * 4 * 5 * 9 * 2),
        ((3, 3, 2, 6), (4, 8, 8, 2), {"batch_group_count": 2}, 2 * 6 * 6 * 6 * 9 * 2),
        # Transposed, 4 pixels to 7: of three taps in a row, two or one meet a pixel.
        ((3, 1, 2, 5), (1, 4, 1, 2), {"lhs_dilation": (2, 1), "padding": ((1, 1), (0, 0))}, (4 + 2 * 3) * 5 * 2),
    ],
)
def test_convolution(kernel, image, options, products):
    assert layers(lambda w, x: conv(w, x, **options), shape(*kernel), shape(*image)) == products


def test_channels_first():
    numbers = ("NCHW", "OIHW", "NCHW")
    count = layers(
        lambda w, x: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=numbers),
        shape(5, 2, 3, 1),
        shape(1, 2, 8, 6),
    )
    assert count == 6 * 6 * 5 * 3 * 2


def test_batched_product():
    assert layers(jax.vmap(jnp.matmul), shape(7, 3, 4), shape(7, 4, 5)) == 7 * 3 * 4 * 5
    assert layers(jax.vmap(lambda w, x: w @ x, (None, 0)), shape(3, 4), shape(7, 4)) == 7 * 3 * 4


def test_products_of_activations_are_apart():
    def attention(w, x):
        q, k = x @ w, x @ w
        return jnp.einsum("ij,jd->id", jax.nn.softmax(jnp.einsum("id,jd->ij", q, k)), x)

    assert count_multiply_adds(attention, shape(3, 3), shape(5, 3)) == MultiplyAdds(
        layers=2 * 5 * 3 * 3, activations=2 * 5 * 5 * 3
    )


def test_constants_and_products_of_weights_are_apart():
    blur = np.ones((3, 3, 1, 1), np.float32)

    def normalized(w, x):
        norm = jnp.ones(3) @ (w @ jnp.ones(4))
        return conv(blur, x).reshape(-1, 3) @ (w / norm)

    assert count_multiply_adds(normalized, shape(3, 4), shape(1, 5, 8, 1)) == MultiplyAdds(
        layers=6 * 3 * 4, fixed=18 * 9 + 3 * 4 + 3
    )


def test_changed_weights_stay_weights():
    def function(w, x):
        kernel = jnp.concatenate([w["a"].T.astype(jnp.bfloat16), jnp.zeros((1, 4), jnp.bfloat16)]) / 2
        return x.astype(jnp.bfloat16) @ kernel

    assert layers(function, {"a": shape(4, 2)}, shape(5, 3)) == 5 * 3 * 4


def test_tokens_mixed_with_an_input_are_activations():
    def function(w, x):
        tokens = jnp.concatenate([w["tokens"], x])
        return (tokens @ w["kernel"]) @ tokens.T

    counted = count_multiply_adds(function, {"tokens": shape(2, 3), "kernel": shape(3, 3)}, shape(5, 3))
    assert counted == MultiplyAdds(layers=7 * 3 * 3, activations=7 * 3 * 7)


@jax.custom_jvp
def _custom_jvp(w, x):
    return x @ w


_custom_jvp.defjvp(lambda primals, tangents: (_custom_jvp(*primals), tangents[1] @ primals[0]))


@jax.custom_vjp
def _custom_vjp(w, x):
    return x @ w


_custom_vjp.defvjp(lambda w, x: (x @ w, None), lambda rest, g: (g, g))


@pytest.mark.parametrize(
    "wrapped",
    [
        jax.jit(lambda w, x: jax.jit(jnp.matmul)(x, w)),
        jax.checkpoint(lambda w, x: x @ w),
        _custom_jvp,
        _custom_vjp,
        lambda w, x: jax.jit(lambda x: x @ w)(x),  # a closed-over argument
    ],
)
def test_wrapped_functions(wrapped):
    assert layers(wrapped, shape(3, 4), shape(5, 3)) == 60


def test_shard_map_counts_one_device():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = {"in_specs": (jax.P(), jax.P("data")), "out_specs": jax.P("data")}
    assert layers(jax.shard_map(lambda w, x: x @ w, mesh=mesh, **specs), shape(3, 4), shape(8, 3)) == 2 * 3 * 4


def test_scan_counts_every_turn():
    def function(stacked, x):
        return lax.scan(lambda x, w: (jax.nn.relu(x @ w), None), x, stacked)[0]

    assert layers(function, shape(6, 3, 3), shape(5, 3)) == 6 * 5 * 3 * 3


def test_scan_follows_what_the_carry_becomes():
    """From the second turn on the carry, a constant at first, is an activation."""

    def function(w, x):
        return lax.fori_loop(0, 4, lambda _, carry: carry @ carry + x @ w, jnp.zeros((3, 3)))

    assert count_multiply_adds(function, shape(3, 3), shape(3, 3)) == MultiplyAdds(layers=4 * 27, activations=4 * 27)


def test_cond_counts_the_costliest_branch():
    def function(w, x):
        return lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)

    assert layers(function, shape(3, 3), shape(5, 3)) == 2 * 5 * 9


def test_products_without_effect_are_not_counted():
    @jax.custom_vjp
    def product(w, x):
        return x @ w

    product.defvjp(lambda w, x: (x @ w, (w, x)), lambda saved, g: (saved[1].T @ g, g @ saved[0].T))

    def input_gradient(w, x):
        return jax.grad(lambda x: jnp.sum(product(w, x) ** 2))(x)

    assert layers(lambda w, x: (x @ w, x @ w)[0], shape(3, 4), shape(5, 3)) == 60
    assert layers(input_gradient, shape(3, 4), shape(5, 3)) == 2 * 60, "without the kernel's gradient"


def test_loops_of_unknown_length():
    def products(w, x):
        return lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ w, x)

    with pytest.raises(ValueError, match="products in a while: its trace does not tell how often"):
        count_multiply_adds(products, shape(3, 3), shape(5, 3))

    def none(w, x):
        return lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x - 1, x) @ w

    assert layers(none, shape(3, 3), shape(5, 3)) == 45


def test_nothing_is_allocated():
    huge = 10**8
    assert layers(lambda w, x: x @ w, shape(huge, huge), shape(huge, huge)) == huge**3


def test_sums():
    counted = MultiplyAdds(1, 2, 3) + MultiplyAdds(10, 20, 30) * 2
    assert counted == MultiplyAdds(21, 42, 63) and counted.total == 126
    assert counted and not MultiplyAdds()
