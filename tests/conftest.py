"""Shared set-up of the tests: eight simulated CPU devices, a compilation cache, golden files."""

import gc
import os
import signal
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most tests compile far longer than they compute: XLA's older emitters and no optimisation compile a training step in a
# third of the time. Tests marked `optimized` get level 1 (below). Processes that tests start inherit all this.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_backend_optimization_level=1"
    # Options of their time: newer versions end the process over what they do not know. One module for LLVM instead of
    # 32, whose common part is compiled in each: the other core has tests of its own.
    + (
        " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        if version("jaxlib").startswith("0.10.")
        else ""
    )
)

import jax
import numpy as np
import pytest
from browser import launched

GOLDEN = Path(__file__).parent / "golden"

# Thousands of compilations would fill the one heap that commands ask for with free blocks of all sizes.
os.environ.setdefault("MALLOC_ARENA_MAX", "8")

# A shell without job control has what it starts in the background ignore Ctrl-C, which tests are about.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tracing makes many objects and hardly any garbage: to look for it took a tenth of the time.
gc.set_threshold(100_000, 20, 50)
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parent.parent / ".cache" / "jax")  # children's, too
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Ahead of the fixtures, which compile the most."""
    jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("optimized") is None)


def pytest_collection_modifyitems(items):
    """The longest modules first: a process takes whole ones, and none should be left with a long one at the end."""
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("slow", "optimized")])


@pytest.fixture(scope="session")
def golden():
    """Loader of golden arrays: `golden("ops")` is the dict of arrays in tests/golden/ops.npz."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return load


@pytest.fixture(scope="module")
def chromium():
    """Opens our pages: `with chromium.open(path, width=390) as opened`; skips where there is no Chromium.

    No longer than a module: Playwright's event loop runs all the while and would be in the way of Orbax's.
    """
    with launched() as browser:
        yield browser
