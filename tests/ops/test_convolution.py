"""Every algorithm against XLA's convolution, and which of them is taken where."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from motion_transformer_jax.ops.backend import compiler_options
from motion_transformer_jax.ops.convolution import convolve, convolve_normalized, convolve_upsampled
from motion_transformer_jax.ops.normalization import Normalized, batch_statistics, normalize
from motion_transformer_jax.ops.winograd import SAME, UPSAMPLED

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}  # of the largest number

# Image, kernel, stride and padding that each algorithm takes on CPU.
CASES = {
    "winograd": ((1, 64, 128, 64), (3, 3, 64, 64), 1, 1),
    "winograd for the kernel's gradient": ((1, 64, 64, 32), (3, 3, 32, 36), 1, 1),
    "few outputs": ((2, 9, 12, 20), (7, 7, 20, 3), 1, 3),
    "few outputs, 3x3": ((1, 12, 10, 17), (3, 3, 17, 16), 1, 1),
    "few inputs": ((1, 12, 10, 3), (7, 7, 3, 20), 1, 3),
    "few pixels": ((2, 8, 8, 20), (3, 3, 20, 24), 1, 1),
    "few pixels, strided": ((2, 7, 6, 5), (3, 3, 5, 4), 2, 1),
    "4x4": ((2, 12, 10, 5), (4, 4, 5, 4), 1, 0),
    "strided": ((2, 12, 15, 5), (3, 3, 5, 4), 2, 1),
    "strided, padded little": ((1, 11, 14, 3), (7, 7, 3, 4), 2, 2),
    "1x1": ((2, 9, 10, 20), (1, 1, 20, 5), 1, 0),
    "1x1, strided": ((2, 9, 10, 20), (1, 1, 20, 5), 2, 0),
    "odd size": ((1, 65, 64, 32), (3, 3, 32, 32), 1, 1),
}
UPSAMPLED_CASES = {
    "winograd": ((2, 8, 9, 64), (3, 3, 64, 65)),
    "few pixels, many channels": ((2, 7, 9, 64), (3, 3, 64, 65)),
    "few outputs": ((1, 5, 6, 20), (3, 3, 20, 3)),
    "few pixels": ((2, 4, 3, 20), (3, 3, 20, 24)),
    "few channels": ((1, 6, 5, 20), (3, 3, 20, 24)),
}


def xla(x, kernel, stride, padding):
    pads = ((padding, padding),) * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def xla_upsampled(x, kernel):
    return xla(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel, 1, 1)


def ours_and_xlas(stride, padding):
    return tuple(functools.partial(f, stride=stride, padding=padding) for f in (convolve, xla))


def draw(*shapes, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def with_gradients(function):
    """x, kernel and the result's cotangent to the result and the gradients by x and kernel."""

    def run(x, kernel, cotangent):
        result, pull_back = jax.vjp(function, x, kernel)
        return result, *pull_back(cotangent)

    return run


def assert_same(ours, reference, image, kernel, dtype, transform=jax.jit, **options):
    x, kernel = draw(image, kernel, dtype=dtype, **options)
    (cotangent,) = draw(jax.eval_shape(reference, x, kernel).shape, dtype=dtype, seed=1)
    actual = transform(with_gradients(ours))(x, kernel, cotangent)
    expected = jax.jit(with_gradients(reference))(x, kernel, cotangent)
    for a, b, name in zip(actual, expected, ("result", "gradient by x", "gradient by kernel"), strict=True):
        assert a.dtype == b.dtype == dtype
        tolerance = TOLERANCES[str(dtype)] * max(1, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_xlas(case, dtype):
    image, kernel, *options = CASES[case]
    assert_same(*ours_and_xlas(*options), image, kernel, dtype)


@pytest.mark.parametrize("case", UPSAMPLED_CASES)
def test_upsampled_values_and_gradients_are_xlas(case, dtype):
    assert_same(convolve_upsampled, xla_upsampled, *UPSAMPLED_CASES[case], dtype)


def assert_same_gradients(ours, reference, shapes, *, dtype=np.float32, tolerance=1e-4):
    """Of results and of gradients by all arguments of the given shapes."""
    arguments = draw(*shapes, dtype=dtype)
    (cotangent,) = draw(jax.eval_shape(reference, *arguments).shape, dtype=dtype, seed=9)
    actual, expected = (
        jax.jit(lambda *args, f=f: (f(*args), jax.vjp(f, *args)[1](cotangent)))(*arguments) for f in (ours, reference)
    )
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


SOME_CASES = ["winograd", "few outputs", "few pixels", "strided", "1x1"]


@pytest.mark.parametrize("case", SOME_CASES)
@pytest.mark.parametrize("relu", [False, True])
def test_bias_and_relu(case, relu):
    image, kernel, stride, padding = CASES[case]

    def ours(*arguments):
        return convolve(*arguments, stride=stride, padding=padding, relu=relu)

    def reference(x, kernel, bias):
        result = xla(x, kernel, stride, padding) + bias
        return jax.nn.relu(result) if relu else result

    assert_same_gradients(ours, reference, [image, kernel, kernel[-1:]])


def test_of_a_relu_a_byte_a_number_is_kept():
    image, kernel, *options = CASES["1x1"]
    kernel, bias = draw(kernel, kernel[-1:])
    result, pull_back = jax.vjp(lambda x: convolve(x, kernel, bias, *options, True), *draw(image))
    kept = [x.dtype for x in jax.tree.leaves(pull_back) if x.shape == result.shape]
    assert kept == [bool]


@pytest.mark.optimized
def test_memory_of_few_outputs_does_not_grow_with_the_batch_on_cpu():
    """But that of the images themselves."""
    for function in (lambda x, kernel: convolve(x, kernel, padding=3), None):
        needed = []
        for batch in (1, 4):
            x, kernel = draw((batch, 32, 32, 24), (7, 7, 24, 3))
            run = function or (lambda x, kernel: jax.grad(lambda k: jnp.sum(convolve(x, k, padding=3)))(kernel))
            program = jax.jit(run, compiler_options=compiler_options()).lower(x, kernel).compile()
            needed.append(program.memory_analysis().temp_size_in_bytes)
        assert needed[1] < 1.5 * needed[0] + x.nbytes


def test_no_gradient_passes_a_relu_at_zero():
    image, kernel, *options = CASES["1x1"]
    kernel, bias = draw(kernel, kernel[-1:])

    def loss(x, scale, shift):
        images = Normalized(x, *batch_statistics(x, num_batches=1, axis_name=None), scale, shift, 1e-5, None, True)
        return jnp.sum(convolve_normalized(images, kernel, bias, *options) + normalize(images).sum())

    zeros = jnp.zeros(image), jnp.ones(image[-1]), jnp.zeros(image[-1])
    assert not any(np.any(gradient) for gradient in jax.grad(loss, (0, 1, 2))(*zeros))
    gradients = jax.grad(lambda x, bias: jnp.sum(convolve(x, kernel, bias, *options, True)), (0, 1))(zeros[0], 0 * bias)
    assert not any(np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize("case", UPSAMPLED_CASES)
def test_upsampled_with_bias(case):
    image, kernel = UPSAMPLED_CASES[case]
    shapes = [image, kernel, kernel[-1:]]
    assert_same_gradients(convolve_upsampled, lambda x, k, bias: xla_upsampled(x, k) + bias, shapes)


def normalized(x, scale, bias, num_batches):
    statistics = batch_statistics(x, num_batches=num_batches, axis_name=None)
    return Normalized(x, *statistics, scale, bias, 1e-5, None, True)


@pytest.mark.parametrize("case", SOME_CASES)
def test_of_normalized_images(case):
    """As of what `normalize` computes."""
    check_normalized(case)


@pytest.mark.parametrize("case", ["few pixels", "1x1"])
def test_of_normalized_images_in_double_precision(case):
    with jax.enable_x64():
        check_normalized(case, dtype=np.float64, tolerance=1e-10)


def check_normalized(case, **options):
    image, kernel, stride, padding = CASES[case]
    num_batches = image[0]

    def ours(x, scale, shift, kernel, bias):
        images = normalized(x, scale, shift, num_batches)
        return convolve_normalized(images, kernel, bias, stride=stride, padding=padding)

    def reference(x, scale, shift, kernel, bias):
        return xla(normalize(normalized(x, scale, shift, num_batches)), kernel, stride, padding) + bias

    channels = image[-1:]
    assert_same_gradients(ours, reference, [image, channels, channels, kernel, kernel[-1:]], **options)


def test_of_normalized_images_over_two_devices():
    """Each has its half of each of two batches; the statistics are those of whole batches."""
    image, kernel, *options = CASES["strided"]
    x, scale, shift, kernel = draw((2, 4, *image[1:]), image[-1:], image[-1:], kernel)  # [batch, example, ...]
    results = jax.eval_shape(lambda x: xla(x, kernel, *options), x[0])
    (cotangent,) = draw((2, *results.shape), seed=1)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])

    def gradients(x, scale, shift, kernel, cotangent, axis_name=None):
        def loss(x, scale, shift, kernel):
            merged = x.reshape(-1, *image[1:])
            statistics = batch_statistics(merged, num_batches=2, axis_name=axis_name)
            images = Normalized(merged, *statistics, scale, shift, 1e-5, axis_name, True)
            return jnp.sum(
                convolve_normalized(images, kernel, None, *options) * cotangent.reshape(-1, *cotangent.shape[2:])
            )

        found = jax.grad(loss, (0, 1, 2, 3))(x, scale, shift, kernel)
        return found if axis_name is None else (found[0], *lax.psum(found[1:], axis_name))

    halves, same = jax.P(None, "data"), jax.P()
    mapped = jax.shard_map(
        functools.partial(gradients, axis_name="data"),
        mesh=mesh,
        in_specs=(halves, same, same, same, halves),
        out_specs=(halves, same, same, same),
        check_vma=False,
    )
    arguments = x, scale, shift, kernel, cotangent
    for a, b in zip(jax.jit(mapped)(*arguments), jax.jit(gradients)(*arguments), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


def test_wide_images_are_normalized_before_they_take_a_narrow_kernels_type():
    image, kernel, *options = CASES["1x1"]
    x, scale, shift, kernel = draw(image, image[-1:], image[-1:], kernel)
    x, kernel = x + 100, kernel.astype(jnp.bfloat16)
    result = convolve_normalized(normalized(x, scale, shift, 2), kernel, None, *options)
    assert result.dtype == jnp.bfloat16
    expected = xla(normalize(normalized(x, scale, shift, 2)), kernel.astype(jnp.float32), *options)
    np.testing.assert_allclose(result.astype(jnp.float32), expected, atol=0.03 * np.abs(expected).max())


def test_what_is_kept_for_gradients():
    """Of a normalised image the image, of a ReLU its result."""
    image, kernel, *options = CASES["1x1"]
    x, scale, bias, kernel, shift = draw(image, image[-1:], image[-1:], kernel, kernel[-1:])

    def kept(function, *arguments):
        residuals = jax.tree.leaves(jax.vjp(function, *arguments)[1])
        return sorted(array.shape[-1] for array in residuals if array.ndim == 4 and array.shape[:3] == image[:3])

    inputs, outputs = kernel.shape[2:]
    deferred = kept(
        lambda *args: convolve_normalized(normalized(*args[:3], 2), args[3], None, *options), x, scale, bias, kernel
    )
    assert deferred == [inputs]
    assert kept(lambda *args: convolve(*args, *options, True), x, kernel, shift) == [outputs, inputs]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape(data):
    """Square kernels of all sizes, images that they fit on; the last few pixels need not be reached."""
    size, stride = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    padding = data.draw(st.integers(0, size - 1))
    least = max(1, size - 2 * padding)
    image = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(least, 12)) for _ in range(2)))
    inputs, outputs = data.draw(st.sampled_from([(1, 1), (2, 3), (17, 1), (3, 17), (17, 17)]))
    seed = data.draw(st.integers(0, 1000))
    reference = ours_and_xlas(stride, padding)
    assert_same(*reference, (*image, inputs), (size, size, inputs, outputs), np.dtype(np.float32), seed=seed)


def one_by_one(function):
    """For examples along a first axis: each alone."""

    def run(*arguments):
        results = [function(*each) for each in zip(*arguments, strict=True)]
        return [jnp.stack(same) for same in zip(*results, strict=True)]

    return run


@pytest.mark.parametrize("case", SOME_CASES)
@pytest.mark.parametrize("kernels", ["one", "each its own"])
def test_vmap(case, kernels):
    image, kernel, *options = CASES[case]
    check_vmap(*ours_and_xlas(*options), image, kernel, kernels)


@pytest.mark.parametrize("case", ["winograd", "few outputs"])
@pytest.mark.parametrize("kernels", ["one", "each its own"])
def test_vmap_of_upsampled(case, kernels):
    check_vmap(convolve_upsampled, xla_upsampled, *UPSAMPLED_CASES[case], kernels)


def check_vmap(ours, reference, image, kernel, kernels):
    images, kernel_stack = draw((2, *image), (2, *kernel))
    (cotangents,) = draw((2, *jax.eval_shape(reference, images[0], kernel_stack[0]).shape), seed=1)
    if kernels == "one":
        kernel_stack = jnp.stack([kernel_stack[0]] * 2)
        actual = jax.jit(jax.vmap(with_gradients(ours), (0, None, 0)))(images, kernel_stack[0], cotangents)
    else:
        actual = jax.jit(jax.vmap(with_gradients(ours)))(images, kernel_stack, cotangents)
    expected = jax.jit(one_by_one(with_gradients(reference)))(images, kernel_stack, cotangents)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("case", ["few outputs", "few pixels", "strided"])
def test_without_jit(case):
    image, kernel, *options = CASES[case]
    assert_same(*ours_and_xlas(*options), image, kernel, np.dtype(np.float32), transform=lambda f: f)


def test_gradient_by_one_argument_of_a_mean():
    """As a loss takes it, through `jax.grad`."""
    image, kernel, *options = CASES["few outputs"]
    ours, reference = ours_and_xlas(*options)
    x, kernel = draw(image, kernel)
    for argument in (0, 1):
        actual, expected = (
            jax.jit(jax.grad(lambda *args, f=f: jnp.mean(f(*args) ** 2), argument))(x, kernel)
            for f in (ours, reference)
        )
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_sharded_over_devices():
    """Images over two devices, one kernel: its gradients add up."""
    image, kernel, *options = CASES["few pixels"]
    ours, reference = ours_and_xlas(*options)
    x, kernel = draw(image, kernel)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    split, same = jax.P("data"), jax.P()

    def step(x, kernel):
        x_gradient, kernel_gradient = jax.grad(lambda *args: jnp.sum(ours(*args) ** 2), (0, 1))(x, kernel)
        return x_gradient, lax.psum(kernel_gradient, "data")

    mapped = jax.shard_map(step, mesh=mesh, in_specs=(split, same), out_specs=(split, same), check_vma=False)
    actual = jax.jit(mapped)(x, kernel)
    expected = jax.jit(jax.grad(lambda *args: jnp.sum(reference(*args) ** 2), (0, 1)))(x, kernel)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


def operations(function, image, kernel, *, platform, dtype=np.float32):
    """Convolutions and matrix products of the program for a platform."""
    shapes = (jax.ShapeDtypeStruct(shape, dtype) for shape in (image, kernel))
    text = jax.jit(function).trace(*shapes).lower(lowering_platforms=(platform,)).as_text()
    return text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")


def gradients(function):
    return lambda *arguments: jax.grad(lambda *args: jnp.sum(function(*args)), (0, 1))(*arguments)


# For each row of patches a product with the kernel, and one that took the kernel to the other basis.
WINOGRAD = (0, 2 * SAME.patch)
SMALL_WINOGRAD = (0, 2 * UPSAMPLED.patch)
PRODUCT, XLA = (0, 1), (1, 0)


@pytest.mark.parametrize(
    ("image", "kernel", "stride", "padding", "expected"),
    [
        (*CASES["winograd"], WINOGRAD),
        ((1, 32, 32, 512), (3, 3, 512, 1024), 1, 1, WINOGRAD),
        ((1, 16, 28, 256), (3, 3, 256, 256), 1, 1, XLA),  # too few pixels for so few channels
        ((1, 32, 60, 64), (3, 3, 64, 512), 1, 1, XLA),
        ((1, 128, 128, 63), (3, 3, 63, 512), 1, 1, XLA),  # too few channels
        ((1, 128, 128, 512), (3, 3, 512, 63), 1, 1, XLA),
        ((1, 128, 130, 64), (3, 3, 64, 64), 1, 1, XLA),  # not whole tiles
        ((1, 128, 128, 64), (3, 3, 64, 64), 2, 1, XLA),
        ((1, 128, 128, 64), (3, 3, 64, 64), 1, 0, XLA),
        ((1, 128, 128, 64), (5, 5, 64, 64), 1, 2, XLA),
        (*CASES["few outputs"], PRODUCT),
        ((1, 64, 64, 17), (3, 3, 17, 16), 1, 1, PRODUCT),
        ((1, 64, 64, 17), (3, 3, 17, 17), 1, 1, XLA),  # not few
        ((1, 64, 64, 16), (3, 3, 16, 16), 1, 1, XLA),  # no more inputs
        ((1, 64, 64, 32), (3, 3, 32, 3), 2, 1, XLA),
        ((1, 64, 64, 32), (1, 1, 32, 3), 1, 0, XLA),
        (*CASES["few pixels"], PRODUCT),
        (*CASES["few pixels, strided"], PRODUCT),
        ((1, 8, 9, 20), (3, 3, 20, 24), 1, 1, XLA),
        ((1, 8, 8, 20), (1, 1, 20, 24), 1, 0, XLA),
        ((1, 8, 8, 20), (4, 4, 20, 24), 1, 0, XLA),
        (*CASES["4x4"], XLA),
    ],
)
def test_the_choice_on_cpu(image, kernel, stride, padding, expected):
    ours, _ = ours_and_xlas(stride, padding)
    assert operations(ours, image, kernel, platform="cpu") == expected
    assert operations(ours, image, kernel, platform="tpu") == XLA


def test_the_choice_for_gradients_on_cpu():
    def choice(case, **options):
        image, kernel, *stride_and_padding = CASES.get(case, case)
        function = gradients(ours_and_xlas(*stride_and_padding)[0])
        return operations(function, image, kernel, platform="cpu", **options)

    assert choice("winograd") == (0, 3 * SAME.patch + 1)
    assert choice("winograd for the kernel's gradient") == (1, 2)  # by a loop
    assert choice(((1, 64, 64, 32), (3, 3, 32, 64), 1, 1)) == (1, 2)
    assert choice(((1, 64, 64, 32), (3, 3, 32, 65), 1, 1)) == (1, SAME.patch + 1)
    assert choice("odd size") == (2, 0)
    assert choice("few outputs") == (1, 1)  # the input's gradient is a convolution to many channels
    assert choice("few inputs") == (1, 1)
    assert choice("few pixels") == (0, 2)
    assert choice("strided") == (0, 2)
    assert choice("1x1") == (0, 2)


@pytest.mark.parametrize(
    ("image", "channels", "upsampled", "rows"),
    [
        ((1, 256, 256, 64), 64, False, None),  # 19 million numbers of patches
        ((2, 256, 256, 64), 64, False, 128),
        ((3, 240, 240, 64), 64, False, 120),
        ((2, 256, 256, 64), 128, False, 64),
        ((6, 64, 64, 256), 256, False, 64),
        ((9, 4, 2048, 512), 512, False, 4),  # and still too many
        ((2, 128, 128, 128), 64, True, 32),
        ((1, 64, 64, 256), 128, True, None),
    ],
)
def test_strips_of_large_images_on_cpu(image, channels, upsampled, rows):
    function = convolve_upsampled if upsampled else ours_and_xlas(1, 1)[0]
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in (image, (3, 3, image[-1], channels))]
    text = jax.jit(gradients(function)).trace(*shapes).lower(lowering_platforms=("cpu",)).as_text()
    _, height, width, inputs = image
    padded = set(re.findall(rf"tensor<1x(\d+)x{width + 2}x{inputs}xf32>", text))
    assert str((rows or height) + 2) in padded or rows is None
    assert ("stablehlo.while" in text) == (rows is not None)


@pytest.mark.optimized
@pytest.mark.parametrize("case", CASES)
def test_all_convolutions_on_cpu_are_of_the_fast_kind(case):
    """XLA brings others into that order, but not in a function that stands apart: there they ran 100 times longer."""
    image, kernel, *options = CASES[case]
    ours, _ = ours_and_xlas(*options)
    lines = compiled(gradients(ours), image, kernel).splitlines()
    for line in (line for line in lines if " convolution(" in line):
        assert "dim_labels=b01f_01io->b01f" in line


def test_gradients_that_nobody_reads_are_not_computed():
    """By a photograph, or by a kernel that is not learned."""
    image, kernel, *options = CASES["odd size"]
    ours, _ = ours_and_xlas(*options)

    def count(read):
        text = compiled(jax.grad(lambda *args: jnp.sum(ours(*args)), read), image, kernel)
        return text.count(" convolution(")

    assert (count(0), count(1), count((0, 1))) == (1, 1, 2)


def compiled(function, image, kernel):
    shapes = (jax.ShapeDtypeStruct(shape, np.float32) for shape in (image, kernel))
    return jax.jit(function).lower(*shapes).compile().as_text()


def test_the_choice_for_upsampled():
    def choice(case, function=convolve_upsampled, **options):
        return operations(function, *UPSAMPLED_CASES[case], **options)

    both = gradients(convolve_upsampled)
    assert choice("winograd", platform="cpu") == SMALL_WINOGRAD
    assert choice("winograd", both, platform="cpu") == (0, 3 * UPSAMPLED.patch + 1)
    assert choice("few outputs", platform="cpu") == PRODUCT
    assert choice("few pixels", platform="cpu") == PRODUCT
    assert choice("few pixels, many channels", platform="cpu") == XLA
    assert choice("few channels", platform="cpu") == XLA
    for platform in ("tpu", "cuda"):
        assert choice("winograd", platform=platform) == XLA
        assert choice("winograd", both, platform=platform) == (2, 0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_elsewhere_gradients_are_xlas(case, platform):
    image, kernel, *options = CASES[case]
    ours, _ = ours_and_xlas(*options)
    assert operations(gradients(ours), image, kernel, platform=platform) == (2, 0)


def test_narrow_types_do_without_the_large_tiles():
    """Their sums lose too many digits."""
    image, kernel, *options = CASES["winograd"]
    ours, _ = ours_and_xlas(*options)
    for dtype in (jnp.bfloat16, jnp.float16):
        assert operations(ours, image, kernel, platform="cpu", dtype=dtype) == XLA


@pytest.mark.parametrize("case", ["few outputs", "few pixels", "strided", "1x1"])
def test_bfloat16(case):
    image, kernel, *options = CASES[case]
    check_bfloat16(*ours_and_xlas(*options), image, kernel)


@pytest.mark.parametrize("case", ["winograd", "few outputs"])
def test_bfloat16_upsampled(case):
    check_bfloat16(convolve_upsampled, xla_upsampled, *UPSAMPLED_CASES[case])


def check_bfloat16(ours, reference, image, kernel):
    x, kernel = draw(image, kernel, dtype=jnp.bfloat16)
    (cotangent,) = draw(jax.eval_shape(reference, x, kernel).shape, dtype=jnp.bfloat16, seed=1)
    actual = jax.jit(with_gradients(ours))(x, kernel, cotangent)
    wide = (array.astype(jnp.float32) for array in (x, kernel, cotangent))
    for a, b in zip(actual, jax.jit(with_gradients(reference))(*wide), strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(np.float32), b, rtol=0, atol=0.02 * np.abs(b).max())


def test_constants_have_results_but_no_gradients():
    keys = jax.random.split(jax.random.key(3), 3)
    x, kernel = jax.random.normal(keys[0], (3, 8, 8, 4)), jax.random.normal(keys[1], (3, 3, 4, 5))
    weights = jax.random.normal(keys[2], (3, 8, 8, 5))

    def weighted(x, kernel, num_constants, weights):
        return jnp.sum(weights * convolve(x, kernel, None, 1, 1, True, num_constants))

    value, (by_image, by_kernel) = jax.value_and_grad(weighted, (0, 1))(x, kernel, 2, weights)
    expected = jax.grad(weighted, (0, 1))(x[:1], kernel, 0, weights[:1])
    np.testing.assert_allclose(value, weighted(x, kernel, 0, weights), rtol=1e-5)
    np.testing.assert_allclose(by_image[:1], expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(by_image[1:], 0)
    np.testing.assert_allclose(by_kernel, expected[1], rtol=1e-5, atol=1e-5)
