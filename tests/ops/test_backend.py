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
