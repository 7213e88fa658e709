"""What the machine has and can do at best: its devices, and the rate of a large matrix product."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from motion_transformer_jax.errors import UserError

# Rows, inner columns, columns, and how many products in a call. On CPU that of a 3x3 convolution of 256 channels at
# 32x32: small, as memory is measured beside it.
_CPU_SHAPE, _CPU_PRODUCTS = (1024, 2304, 256), 32
_ACCELERATOR_SHAPE, _ACCELERATOR_PRODUCTS = (8192, 8192, 8192), 8


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
    on_cpu = jax.default_backend() == "cpu"
    rows, inner, columns = shape = _CPU_SHAPE if on_cpu else _ACCELERATOR_SHAPE
    number = _CPU_PRODUCTS if on_cpu else _ACCELERATOR_PRODUCTS
    # Of random numbers: chips are faster at equal ones.
    left, right = (
        jax.random.normal(jax.random.key(seed), size, dtype)
        for seed, size in enumerate(((rows, inner), (inner, columns)))
    )
    product = jax.jit(jnp.matmul)

    def call() -> object:
        for _ in range(number):
            result = product(left, right)  # in order, and none but the last is kept
        return jax.block_until_ready(result)

    return MatrixProducts(call, number * math.prod(shape))


def check_devices(number: int) -> None:
    """Raises a UserError where fewer devices are here."""
    if number > 1 and number > jax.device_count():  # asked only where needed: that takes the devices
        raise UserError(f"{number} devices are asked for and {jax.device_count()} are here; ask for fewer")
