import os
import subprocess
import sys

from motion_transformer_jax.compilation_cache import keep_compiled_programs

COMPILE = """
from motion_transformer_jax.compilation_cache import keep_compiled_programs
keep_compiled_programs()
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x * 2 + 1)(1.0)
"""


def test_programs_are_kept_below_the_users_cache(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", COMPILE], env=environment | {"XDG_CACHE_HOME": str(tmp_path)}, check=True)
    assert any((tmp_path / "motion_transformer_jax" / "programs").iterdir())


def test_the_users_own_choice_stays(monkeypatch, tmp_path):
    for choice in (str(tmp_path), ""):
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", choice)
        keep_compiled_programs()
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == choice
