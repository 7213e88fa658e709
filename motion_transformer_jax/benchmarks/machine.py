"""What the machine has and can do at best: its devices, and the rate of a large matrix product."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from motion_transformer_jax.errors import UserError

# Rows, inner columns, columns. On CPU that of a 3x3 convolution of 256 channels at 64x64.
_CPU_SHAPE = (4096, 2304, 256)
_ACCELERATOR_SHAPE = (8192, 8192, 8192)
_CALLS = 8


@dataclasses.dataclass(frozen=True)
class MatrixProducts:
    """A call of several matrix products.

    Attributes:
      call: returns when they are done.
      multiply_adds: of one call.
    """

    call: Callable[[], object]
    multiply_adds: int


def create_matrix_products(dtype: str) -> MatrixProducts:
    """Products of `dtype` on the first device, at JAX's default precision, as the networks use it."""
    shape = _CPU_SHAPE if jax.default_backend() == "cpu" else _ACCELERATOR_SHAPE
    rows, inner, columns = shape
    # Of random numbers: chips are faster at equal ones.
    left, right = (
        jax.random.normal(jax.random.key(seed), size, dtype)
        for seed, size in enumerate(((rows, inner), (inner, columns)))
    )
    product = jax.jit(jnp.matmul)

    def call() -> object:
        for _ in range(_CALLS):
            result = product(left, right)  # in order; the results are not kept, as memory is measured beside
        return jax.block_until_ready(result)

    return MatrixProducts(call, _CALLS * math.prod(shape))


def check_devices(number: int) -> None:
    """Raises a UserError where fewer devices are here."""
    if number > 1 and number > jax.device_count():  # asked only where needed: that takes the devices
        raise UserError(f"{number} devices are asked for and {jax.device_count()} are here; ask for fewer")
