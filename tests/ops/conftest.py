"""Both precisions for every operation, and golden arrays in the one under test."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The type under test; float64 is switched on for as long as the test runs."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)


@pytest.fixture(scope="session")
def arrays(golden):
    """Recorded inputs and outputs of the official code, read once."""
    return golden("ops")


@pytest.fixture
def recorded(arrays, dtype):
    """A recorded array in the type under test: `recorded("aa_image")`."""
    return lambda name: jnp.asarray(arrays[name].astype(dtype))


@pytest.fixture
def assert_close(dtype):
    """Compare within `tolerance` of the larger of 1 and the expected value.

    In float64 only the golden files' own storage as float32 is left: 1e-7. Checks the type too.
    """

    def check(actual, expected, tolerance=5e-6):
        assert actual.dtype == dtype
        assert actual.shape == expected.shape
        tolerance = 1e-7 if dtype == jnp.float64 else tolerance
        actual, expected = np.asarray(actual), np.asarray(expected)
        error = np.max(np.abs(actual - expected) / np.maximum(1, np.abs(expected)))
        assert error <= tolerance, f"error {error} above {tolerance}"

    return check
