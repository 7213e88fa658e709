"""What the backend is good at: the one place that asks which it is."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.mlir import passmanager

from motion_transformer_jax.host_memory import compile_apart, forget_tracing, leave_gap, trim_after_compilations

# XLA's CPU convolutions by YNNPACK run at half the speed of its older ones where there are 32 to 128 channels and need
# copies for gradients; so do its products within attention. Vectors of 512 bits are used only where asked for.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_prefer_vector_width": 512}


def on_cpu() -> bool:
    """Whether programs are compiled for CPUs."""
    return jax.default_backend() == "cpu"


def compiler_options() -> dict[str, str | int]:
    """Options of `jax.jit` for the big programs, animation and training; empty but on CPU.

    Options are left out that this version of XLA does not know.
    """
    return dict(_known_options()) if on_cpu() else {}


def jit_program(function: Callable, **options) -> Callable:
    """`jax.jit(function, **options)` with `compiler_options`; the backend is asked at the first call only.

    Within another traced function it is plain `jax.jit`: options belong to the outermost program. The attribute
    `jitted`, a function without arguments, gives the jitted function itself.
    """
    plain = jax.jit(function, **options)

    @functools.cache
    def jitted() -> Callable:
        if on_cpu():
            trim_after_compilations()
        return jax.jit(function, compiler_options=compiler_options(), **options)

    @functools.wraps(function)
    def program(*args, **kwargs):
        return (plain if _is_traced((args, kwargs)) else jitted())(*args, **kwargs)

    program.jitted = jitted
    return program


def compile_once(function: Callable, *, constants: tuple = (), named: bool = False, **options) -> Callable:
    """`jit_program`, compiled at the first call; arrays of later calls must have the shapes and places of that one's.

    It does without what JAX remembers of tracing, which commands forget. A call with other shapes raises a TypeError,
    one with arrays in other places a ValueError. The attribute `compile` takes arguments too, or their
    `jax.ShapeDtypeStruct`s, and compiles for such ones before they take memory.

    Args:
      function: as of `jit_program`.
      constants: the last arguments of every call.
      named: whether operations know where they come from, for profiles. On CPUs they forget it otherwise: in programs
        of a hundred thousand operations that takes memory.
      **options: as of `jit_program`.
    """
    program = jit_program(function, **options)
    compiled, ran = None, False

    def compile_for(*args) -> None:
        nonlocal compiled
        lowered = program.jitted().lower(*args, *constants)
        if on_cpu() and not named:
            _forget_names(lowered)
        forget_tracing()
        compiled = compile_apart(lowered.compile)
        del lowered
        forget_tracing()

    @functools.wraps(function)
    def call(*args):
        nonlocal ran
        if _is_traced(args):
            return program(*args, *constants)
        if compiled is None:
            compile_for(*args)
        if not ran:
            forget_tracing()  # of what the arguments were made by
            leave_gap()
            ran = True
        return compiled(*args, *constants)

    call.compile = compile_for
    return call


def _forget_names(lowered: jax.stages.Lowered) -> None:
    module = lowered.compiler_ir("stablehlo")
    with module.context:
        passmanager.PassManager.parse("builtin.module(strip-debuginfo)").run(module.operation)


def _is_traced(tree: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


@functools.cache
def _known_options() -> tuple[tuple[str, str | int], ...]:
    return tuple((name, value) for name, value in _CPU_OPTIONS.items() if _is_known(name, value))


def _is_known(name: str, value: str | int) -> bool:
    try:
        jax.jit(lambda x: x + 1, compiler_options={name: value}).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
