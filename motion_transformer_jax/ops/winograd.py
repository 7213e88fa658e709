"""3×3 convolutions with fewer multiplications, as matrix products over the channels and sums of whole arrays.

A bilinear algorithm (Winograd; Lavin and Gray, CVPR 2016) takes patches of the input and of the kernel to another
basis, multiplies them there point by point, and takes the products to tiles of the output. Two are here:
- F(4×4, 3×3): a tile of 4×4 pixels by 36 products per pair of channels instead of 144;
- nearest ×2 enlargement followed by a 3×3 convolution: 2×2 pixels by 9 products instead of 36.
Worth it where matrix products are the limit: on CPUs. Each row of the patches is one array and one batch of products:
with an array for each place XLA has thousands of operations to order, with one for all it moves more memory. Large
images can go strip by strip, so that the patches of one stay near the processor.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from motion_transformer_jax.ops.fusion import apart
from motion_transformer_jax.ops.products import product_over_rows

_Weights = np.ndarray | jax.Array  # of some arrays in a sum, a loop's or known when the program is made


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """A bilinear algorithm of one dimension, used along both.

    Attributes:
      input: [P, P], to patches of P by P pixels.
      kernel: [P, 3].
      output: [T, P], from products to tiles of T by T pixels.
      step: how far apart patches lie.
    """

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray
    step: int

    @property
    def patch(self) -> int:
        """Pixels along a side of an input patch, P."""
        return len(self.input)

    @property
    def tile(self) -> int:
        """Pixels along a side of an output tile, T."""
        return len(self.output)


# By the points 0, 1, -1, 2, -2 and infinity.
SAME = Algorithm(
    input=np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
    kernel=np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
    output=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
    step=4,
)
# An even pixel is k0 (x[-1] - x[0]) + (k0 + k1 + k2) x[0], an odd one the latter + k2 (x[1] - x[0]).
UPSAMPLED = Algorithm(
    input=np.array([[1, -1, 0], [0, 1, 0], [0, -1, 1]]),
    kernel=np.array([[1, 0, 0], [1, 1, 1], [0, 0, 1]]),
    output=np.array([[1, 1, 0], [0, 1, 1]]),
    step=1,
)


def winograd(
    algorithm: Algorithm,
    x: jax.Array,
    kernel: jax.Array,
    finish: Callable[[jax.Array], jax.Array] = lambda pixels: pixels,
    rows: int | None = None,
) -> jax.Array:
    """A 3×3 convolution with stride 1 and zeros outside, of the image or of its ×2 enlargement.

    Args:
      algorithm: SAME or UPSAMPLED.
      x: [B, H, W, C], floating; for SAME H and W divisible by 4.
      kernel: [3, 3, C, D] in the type of x.
      finish: what is computed of each number of the result on its way to memory, of arrays [..., D].
      rows: of the image in one strip, a divisor of H and for SAME a multiple of 4; None for the whole batch at once.

    Returns:
      [B, H, W, D], for UPSAMPLED [B, 2H, 2W, D], in the type of x.
    """
    kernels, compute = _kernel_patches(algorithm, kernel), functools.partial(_of_padded, algorithm, finish)
    if rows is None:
        return compute(_padded(x), kernels)
    batch, height, width, _ = x.shape
    scale = algorithm.tile // algorithm.step
    strips = jnp.arange(batch * height // rows)
    result = lax.map(lambda strip: apart(compute)(_padded_strip(x, strip, rows), kernels), strips)
    return result.reshape(batch, height * scale, width * scale, -1)


def winograd_input_gradient(algorithm: Algorithm, kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    """The gradient of `winograd` by its input, of UPSAMPLED alone: SAME is a convolution with the flipped kernel.

    Args:
      algorithm: UPSAMPLED.
      kernel: [3, 3, C, D].
      gradient: [B, 2H, 2W, D], by the result.

    Returns:
      [B, H, W, C].
    """
    batch, height, width, _ = gradient.shape
    shape = (algorithm.patch, batch, height // algorithm.tile, width // algorithm.tile, kernel.shape[2])
    inputs = [
        (_gradient_row(algorithm, weights, gradient) @ patches.swapaxes(1, 2)).reshape(shape)
        for weights, patches in zip(algorithm.output.T, _kernel_patches(algorithm, kernel), strict=True)
    ]
    places = [_apply(algorithm.input.T, jnp.unstack(row)) for row in _apply(algorithm.input.T, inputs)]
    # places[i][j] is what the pixel i - 1 rows and j - 1 columns away from a tile's own gets of it.
    columns = [
        sum(_shifted(place, i - 1, axis=1) for i, place in enumerate(column)) for column in zip(*places, strict=True)
    ]
    return sum(_shifted(column, j - 1, axis=2) for j, column in enumerate(columns))


def winograd_kernel_gradient(
    algorithm: Algorithm, x: jax.Array, gradient: jax.Array, *, looped: bool = False, rows: int | None = None
) -> jax.Array:
    """The gradient of `winograd` by its kernel, [3, 3, C, D].

    Args:
      algorithm: SAME or UPSAMPLED.
      x: as there.
      gradient: by the result, of its shape.
      looped: whether the rows of patches are turns of a loop, which leaves a quarter of the operations to compile, and
        takes longer for large images or many channels.
      rows: of the image in one strip, as there.
    """
    compute = functools.partial(_kernel_gradient_products, algorithm, looped)
    if rows is None:
        products = compute(_padded(x), gradient)
    else:
        scale = algorithm.tile // algorithm.step

        def add_strip(total: jax.Array, strip: jax.Array) -> tuple[jax.Array, None]:
            return total + compute(_padded_strip(x, strip, rows), _strip(gradient, strip, rows * scale)), None

        total = jnp.zeros((algorithm.patch, algorithm.patch, x.shape[-1], gradient.shape[-1]), x.dtype)
        products, _ = lax.scan(add_strip, total, jnp.arange(x.shape[0] * x.shape[1] // rows))
    transform = jnp.asarray(np.kron(algorithm.kernel, algorithm.kernel), x.dtype)
    gradient = jnp.einsum("pk,pn->kn", transform, products.reshape(len(transform), -1), precision="highest")
    return gradient.reshape(3, 3, *products.shape[2:])


def _of_padded(
    algorithm: Algorithm,
    finish: Callable[[jax.Array], jax.Array],
    padded: jax.Array,
    kernels: Sequence[jax.Array],
) -> jax.Array:
    """`winograd` of what `_padded` and `_kernel_patches` give."""
    batch, height, width = len(padded), *((length - 2) // algorithm.step for length in padded.shape[1:3])
    products = [
        (_input_row(algorithm, weights, padded) @ patches).reshape(algorithm.patch, batch, height, width, -1)
        for weights, patches in zip(algorithm.input, kernels, strict=True)
    ]
    rows = []
    for columns in _apply(algorithm.output, products):
        pixels = jnp.stack(_apply(algorithm.output, jnp.unstack(columns)), axis=3)
        rows.append(finish(pixels.reshape(batch, height, width * algorithm.tile, -1)))
    return jnp.stack(rows, axis=2).reshape(batch, height * algorithm.tile, width * algorithm.tile, -1)


def _kernel_gradient_products(algorithm: Algorithm, looped: bool, padded: jax.Array, gradient: jax.Array) -> jax.Array:
    """[P, P, C, D], the products of all patches of the input and of the gradient, summed over the tiles."""
    weights = algorithm.input, algorithm.output.T
    if looped:
        matrices = [jnp.asarray(matrix, padded.dtype) for matrix in weights]
        return lax.map(lambda row: _row_of_kernel_gradient(algorithm, *row, padded, gradient), matrices)
    # Apart, since XLA would make the patches of all rows before it multiplies the first.
    return jnp.stack(
        [
            apart(functools.partial(_row_of_kernel_gradient, algorithm, *row))(padded, gradient)
            for row in zip(*weights, strict=True)
        ]
    )


def _strip(images: jax.Array, index: jax.Array, rows: int) -> jax.Array:
    """[1, rows, W, C] of images [B, H, W, C]: the first image's strips come first, from above."""
    image, top = _place_of_strip(images, index, rows)
    return _rows(images, image, top, rows)


def _padded_strip(images: jax.Array, index: jax.Array, rows: int) -> jax.Array:
    """[1, rows + 2, W + 2, C], a strip with what lies around it, zeros outside the image, as `_padded` has it."""
    image, top = _place_of_strip(images, index, rows)
    number = min(rows + 2, images.shape[1])
    start = jnp.clip(top - 1, 0, images.shape[1] - number)
    padded = jnp.pad(_rows(images, image, start, number), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return _rows(padded, 0, top - start, rows + 2)


def _place_of_strip(images: jax.Array, index: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """Which image, and its first row."""
    number = images.shape[1] // rows
    return index // number, index % number * rows


def _rows(images: jax.Array, image: jax.Array, top: jax.Array, number: int) -> jax.Array:
    return lax.dynamic_slice(images, (image, top, 0, 0), (1, number, *images.shape[2:]))


def _kernel_patches(algorithm: Algorithm, kernel: jax.Array) -> list[jax.Array]:
    """P arrays [P, C, D], one for each row of the kernel's patch."""
    rows = np.kron(algorithm.kernel, algorithm.kernel).reshape(algorithm.patch, algorithm.patch, 9)
    places = kernel.reshape(9, -1)
    products = [jnp.matmul(jnp.asarray(row, kernel.dtype), places, precision="highest") for row in rows]
    return [product.reshape(-1, *kernel.shape[2:]) for product in products]


def _row_of_kernel_gradient(
    algorithm: Algorithm, of_input: _Weights, of_gradient: _Weights, padded: jax.Array, gradient: jax.Array
) -> jax.Array:
    """[P, C, D], the products of one row of patches of the input and of the gradient."""
    return product_over_rows(_input_row(algorithm, of_input, padded), _gradient_row(algorithm, of_gradient, gradient))


def _padded(x: jax.Array) -> jax.Array:
    """x with the zeros outside that patches reach: they start one pixel before each tile."""
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _input_row(algorithm: Algorithm, weights: _Weights, padded: jax.Array) -> jax.Array:
    """A row of the input's patches, [P, tiles, C], by a row of the algorithm's matrix."""
    step, places = algorithm.step, range(algorithm.patch)
    height, width = (length - 2 for length in padded.shape[1:3])
    row = _combine(weights, [padded[:, j : j + height : step] for j in places])
    return _stack(algorithm.input, [row[:, :, j : j + width : step] for j in places])


def _gradient_row(algorithm: Algorithm, weights: _Weights, gradient: jax.Array) -> jax.Array:
    """A row of the patches of the output's gradient, [P, tiles, D], by a row of the transposed matrix."""
    tile = algorithm.tile
    row = _combine(weights, [gradient[:, j::tile] for j in range(tile)])
    return _stack(algorithm.output.T, [row[:, :, j::tile] for j in range(tile)])


def _stack(matrix: np.ndarray, arrays: Sequence[jax.Array]) -> jax.Array:
    """The matrix applied to images [B, h, w, C], as one array [rows, B h w, C]."""
    return jnp.stack(_apply(matrix, arrays)).reshape(len(matrix), -1, arrays[0].shape[-1])


def _shifted(x: jax.Array, by: int, *, axis: int) -> jax.Array:
    """x moved by -1, 0 or 1 places, zeros where nothing comes."""
    if by == 0:
        return x
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 0) if by == 1 else (0, 1)
    start = 0 if by == 1 else 1
    return lax.slice_in_dim(jnp.pad(x, widths), start, start + x.shape[axis], axis=axis)


def _apply(matrix: np.ndarray, arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """The matrix applied to a vector of arrays; its zeros and ones cost nothing."""
    return [_combine(row, arrays) for row in matrix]


def _combine(weights: _Weights, arrays: Sequence[jax.Array]) -> jax.Array:
    if isinstance(weights, jax.Array):
        return sum(weight * array for weight, array in zip(weights, arrays, strict=True))
    total = None
    for weight, array in zip(weights.tolist(), arrays, strict=True):
        if weight == 0:
            continue
        if total is None:
            total = array if weight == 1 else array * weight
        elif weight == 1:
            total = total + array
        elif weight == -1:
            total = total - array
        else:
            total = total + array * weight
    return total
