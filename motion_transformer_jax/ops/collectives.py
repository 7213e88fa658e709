"""What crosses devices."""

from typing import Any

import jax


def mean_over_devices(tree: Any, axis_name: str | None) -> Any:
    """The tree's arrays, averaged over a mapped axis; as they are without one, or over a single device.

    XLA's CPU runtime holds up all its threads for a collective, even one of a single participant: a third of a training
    step.
    """
    if axis_name is None or jax.lax.axis_size(axis_name) == 1:
        return tree
    return jax.lax.pmean(tree, axis_name)
