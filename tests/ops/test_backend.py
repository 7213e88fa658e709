import jax
import jax.numpy as jnp
import pytest

from motion_transformer_jax.ops import backend


@pytest.fixture
def forget_options():
    backend._known_options.cache_clear()
    yield
    backend._known_options.cache_clear()


def test_programs_take_the_options():
    assert backend.on_cpu()
    double = jax.jit(lambda x: 2 * x, compiler_options=backend.compiler_options())
    assert double(jnp.float32(3)) == 6


def test_unknown_options_are_left_out(monkeypatch, forget_options):
    known = {"xla_cpu_enable_fast_math": False}
    monkeypatch.setattr(backend, "_CPU_OPTIONS", {**known, "xla_cpu_no_such_option": 1})
    assert backend.compiler_options() == known


def test_the_caller_owns_the_options():
    backend.compiler_options()["mine"] = 1
    assert "mine" not in backend.compiler_options()


def test_no_options_elsewhere(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not backend.on_cpu()
    assert backend.compiler_options() == {}


def test_programs_are_compiled_once_and_may_be_part_of_others():
    double = backend.jit_program(lambda x, times: x * times, static_argnames="times")
    assert double(jnp.ones(3), times=2).tolist() == double(jnp.zeros(3) + 1, times=2).tolist() == [2.0] * 3
    assert double.jitted()._cache_size() == 1
    assert jax.jit(lambda x: double(x, times=2) + 1)(jnp.ones(3)).tolist() == [3.0] * 3
    assert jax.eval_shape(lambda x: double(x, times=2), jnp.ones(3)).shape == (3,)


def test_programs_compiled_once_need_nothing_of_their_tracing():
    traced = []
    double = backend.compile_once(lambda x, y: traced.append(x) or (2 * x, y), donate_argnums=0)
    assert [double(jnp.full(3, i), 1.0)[0].tolist() for i in range(2)] == [[0] * 3, [2] * 3]
    assert len(traced) == 1
    assert jax.jit(double)(jnp.ones(2), 1.0)[0].tolist() == [2, 2]  # of another shape, within another program
    with pytest.raises(TypeError, match="compiled"):
        double(jnp.ones(2), 1.0)


def test_programs_are_compiled_for_shapes_before_there_are_arrays():
    traced = []
    scale = backend.compile_once(lambda x, factor: traced.append(x) or x * factor, constants=(jnp.float32(3),))
    scale.compile(jax.ShapeDtypeStruct((2,), jnp.float32))
    assert [scale(jnp.full(2, i, jnp.float32)).tolist() for i in range(2)] == [[0, 0], [3, 3]]
    assert len(traced) == 1
    with pytest.raises(TypeError, match="compiled"):
        scale(jnp.ones(3))


@pytest.mark.parametrize("named", [False, True])
def test_programs_compiled_once_have_names_where_asked_for(named, monkeypatch):
    texts = []
    as_text, compile_ = jax.stages.Lowered.as_text, jax.stages.Lowered.compile
    # What is handed to the compiler: what comes from its cache has the names that it was compiled with.
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: texts.append(as_text(self, debug_info=True)) or compile_(self)
    )

    def compute(x):
        with jax.named_scope("layer"):
            return jnp.sin(x) @ x

    program = backend.compile_once(compute, named=named)
    x = jnp.ones((8, 8))
    assert jnp.allclose(program(x), jnp.sin(x) @ x)
    assert ("layer" in texts[-1]) == named
