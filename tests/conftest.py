"""Shared set-up of the tests: eight simulated CPU devices, a compilation cache, golden files."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile far longer than they compute: LLVM need not optimise (a training step compiles in half the time).
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=1"
)

import jax
import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"

jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parent.parent / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def pytest_collection_modifyitems(items):
    """Modules with long tests first: a process takes whole ones, and none should be left with a long one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def golden():
    """Loader of golden arrays: `golden("ops")` is the dict of arrays in tests/golden/ops.npz."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return load
