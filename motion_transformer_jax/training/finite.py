"""A step with NaN or infinite values changes nothing: seen on the devices, without the host."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from motion_transformer_jax.training.state import TrainState

SKIPPED = "update/skipped"
"""The metric that is 1 for a skipped step, else 0."""


def keep_if_finite(
    before: TrainState, after: TrainState, metrics: Mapping[str, jax.Array]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The state after a step, or, where a metric is NaN or infinite, the one before with the step counted.

    Returns:
      The state, and the metrics with `SKIPPED`.
    """
    finite = jnp.all(jnp.isfinite(jnp.stack(list(metrics.values()))))
    kept = jax.tree.map(lambda old, new: jnp.where(finite, new, old), before, after)
    return kept.replace(step=after.step), {**metrics, SKIPPED: 1.0 - finite}
