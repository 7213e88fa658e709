"""Multiply-adds of a function, counted from its traced program (jaxpr); nothing is computed.

Counted are the products of convolutions (`conv_general_dilated`) and matrix products (`dot_general`): one for each
output element and each term of its sum. As usual, a convolution's padding counts like the image. Element-wise products,
norms, pooling, gathers and activations are not counted.
"""

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jax.interpreters.partial_eval import dce_jaxpr


@dataclass(frozen=True)
class MultiplyAdds:
    """Products, by what is multiplied.

    Attributes:
        layers: of activations with learned variables: convolutions and linear layers, what papers count.
        activations: of activations with activations, such as attention's weights with its values.
        fixed: the others: of activations with constants, such as filters that shrink an image, written as matrices
            whose zeros count too; and of what does not depend on the inputs, such as a spectral norm.
    """

    layers: int = 0
    activations: int = 0
    fixed: int = 0

    def __add__(self, other: "MultiplyAdds") -> "MultiplyAdds":
        return MultiplyAdds(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: int) -> "MultiplyAdds":
        return MultiplyAdds(*(times * count for count in astuple(self)))

    def __bool__(self) -> bool:
        return any(astuple(self))

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))


class _Origin(enum.Flag):
    """What a value depends on; a constant on nothing."""

    VARIABLES = enum.auto()
    INPUTS = enum.auto()


_CONSTANT = _Origin(0)


def count_multiply_adds(function: Callable, variables: Any, *inputs: Any) -> MultiplyAdds:
    """Multiply-adds of `function(variables, *inputs)`.

    A scan counts its body as often as it runs, a `cond` its costliest branch, a `shard_map` one of its devices.
    Products that no result hangs on, such as gradients that nobody asks for, are not counted.

    Args:
      function: what is traced.
      variables: pytree of the learned arrays; shapes suffice (`jax.ShapeDtypeStruct`).
      inputs: pytrees of all other arrays; shapes suffice.

    Raises:
      ValueError: there are products where the trace does not tell how often they run, as in a `while_loop`.
    """
    jaxpr = jax.make_jaxpr(function)(variables, *inputs).jaxpr
    jaxpr, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
    learned = len(jax.tree.leaves(variables))
    origins = [_Origin.VARIABLES] * learned + [_Origin.INPUTS] * (len(jaxpr.invars) - learned)
    return _count(jaxpr, origins)[0]


def _count(jaxpr: Jaxpr, origins: Sequence[_Origin]) -> tuple[MultiplyAdds, list[_Origin]]:
    """The products of a program with arguments of these origins, and its results' origins."""
    known = dict(zip(jaxpr.invars, origins, strict=True))

    def origin(value) -> _Origin:
        return _CONSTANT if isinstance(value, Literal) else known.get(value, _CONSTANT)

    total = MultiplyAdds()
    for equation in jaxpr.eqns:
        counted, results = _count_equation(equation, [origin(value) for value in equation.invars])
        total += counted
        known.update(zip(equation.outvars, results, strict=True))
    return total, [origin(value) for value in jaxpr.outvars]


def _count_equation(equation: JaxprEqn, origins: list[_Origin]) -> tuple[MultiplyAdds, list[_Origin]]:
    merged = [_union(origins)] * len(equation.outvars)
    match equation.primitive.name:
        case "conv_general_dilated":
            return _classify(_convolution_products(equation), *origins), merged
        case "dot_general":
            return _classify(_matrix_products(equation), *origins), merged
        case "scan":
            return _count_scan(equation, origins)
        case "cond":
            return _count_cond(equation, origins)
    inner = _inner_programs(equation)
    if len(inner) == 1 and len(inner[0].invars) == len(origins):  # runs once: jit, remat, custom_jvp, shard_map, ...
        return _count(inner[0], origins)
    for jaxpr in inner:
        if _count(jaxpr, [_CONSTANT] * len(jaxpr.invars))[0]:
            raise ValueError(f"products in a {equation.primitive.name}: its trace does not tell how often they run")
    return MultiplyAdds(), merged


def _inner_programs(equation: JaxprEqn) -> list[Jaxpr]:
    values = jax.tree.leaves(dict(equation.params))
    return [getattr(value, "jaxpr", value) for value in values if isinstance(value, Jaxpr | ClosedJaxpr)]


def _count_scan(equation: JaxprEqn, origins: list[_Origin]) -> tuple[MultiplyAdds, list[_Origin]]:
    params, body = equation.params, equation.params["jaxpr"].jaxpr
    # JAX's versions note differently which are which, but only slices and what is stacked lose an axis in the body.
    num_slices = _count_shrunk(equation.invars, body.invars)
    num_carry = len(equation.outvars) - _count_shrunk(equation.outvars, body.outvars)
    last = len(origins) - num_slices
    constants, carry, slices = origins[: last - num_carry], origins[last - num_carry : last], origins[last:]
    while True:  # until the carry's origins stay as they are; each turn adds one or more
        counted, results = _count(body, [*constants, *carry, *slices])
        grown = [before | after for before, after in zip(carry, results[: len(carry)], strict=True)]
        if grown == carry:
            return counted * params["length"], [*carry, *results[len(carry) :]]
        carry = grown


def _count_shrunk(outside: Sequence, inside: Sequence) -> int:
    return sum(value.aval.ndim > inner.aval.ndim for value, inner in zip(outside, inside, strict=True))


def _count_cond(equation: JaxprEqn, origins: list[_Origin]) -> tuple[MultiplyAdds, list[_Origin]]:
    choice, *arguments = origins
    branches = [_count(branch.jaxpr, arguments) for branch in equation.params["branches"]]
    costliest = max((counted for counted, _ in branches), key=lambda counted: counted.total)
    results = zip(*(results for _, results in branches), strict=True)
    return costliest, [_union([choice, *same]) for same in results]


def _union(origins: Sequence[_Origin]) -> _Origin:
    merged = _CONSTANT
    for origin in origins:
        merged |= origin
    return merged


def _classify(products: int, left: _Origin, right: _Origin) -> MultiplyAdds:
    if _Origin.INPUTS in left & right:
        return MultiplyAdds(activations=products)
    if _Origin.INPUTS in left | right and _Origin.VARIABLES in (left, right):
        return MultiplyAdds(layers=products)
    return MultiplyAdds(fixed=products)


def _matrix_products(equation: JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)


def _convolution_products(equation: JaxprEqn) -> int:
    params, numbers = equation.params, equation.params["dimension_numbers"]
    kernel, output = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
    # The kernel's input channels are those of one group.
    products = output[numbers.out_spec[0]] * output[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    for axis, (out_axis, kernel_axis) in enumerate(zip(numbers.out_spec[2:], numbers.rhs_spec[2:], strict=True)):
        place = np.arange(output[out_axis])[:, None] * params["window_strides"][axis] - params["padding"][axis][0]
        place = place + np.arange(kernel[kernel_axis]) * params["rhs_dilation"][axis]
        # A dilated input (transposed convolution) has holes between its pixels, where nothing is multiplied.
        products *= int(np.count_nonzero(place % params["lhs_dilation"][axis] == 0))
    return products
