"""A step with NaN or infinite values changes nothing: seen on the devices, without the host."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

SKIPPED = "update/skipped"
"""The metric that is 1 for a skipped step, else 0."""


def check_finite(metrics: Mapping[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Whether no metric is NaN or infinite, a bool scalar; and the metrics with `SKIPPED`."""
    finite = jnp.all(jnp.isfinite(jnp.stack(list(metrics.values()))))
    return finite, {**metrics, SKIPPED: 1.0 - finite}


def keep_unless(finite: jax.Array | bool, before: Any, after: Any) -> Any:
    """The tree after a step, or, where its metrics are not finite, the one before."""
    return jax.tree.map(lambda old, new: jnp.where(finite, new, old), before, after)
