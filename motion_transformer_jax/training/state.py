"""The train state: everything that a training step changes."""

from collections.abc import Collection
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import create_animation_model, create_discriminator
from motion_transformer_jax.training.optimizer import ema_update

DISCRIMINATOR = "discriminator"
DISENTANGLER = "disentangler"
MOTION_ESTIMATOR = "motion_estimator"


@flax.struct.dataclass
class TrainState:
    """Parameters, statistics and optimiser after `step` updates.

    Attributes:
        step: int32 [], updates made so far.
        params: all parameters; the top level names the model's parts, and the discriminator.
        batch_stats: running statistics of the batch norms, and the vectors of the spectral norms.
        opt_state: the optimiser's state.
        ema_params: moving average of the model's parameters, or None.
        ema_batch_stats: that of the model's statistics: newer ones do not fit averaged parameters.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    ema_params: Any = None
    ema_batch_stats: Any = None

    def inference_variables(self) -> dict[str, Any]:
        """Variables of the animation model for evaluation: averaged parameters where there are any."""
        if self.ema_params is None:
            return without_discriminator({"params": self.params, "batch_stats": self.batch_stats})
        return {"params": self.ema_params, "batch_stats": self.ema_batch_stats}


def create_variables(config: ConfigDict, key: jax.Array) -> dict[str, Any]:
    """Fresh {"params": ..., "batch_stats": ...} of the animation model and, where enabled, its discriminator."""
    model, size = create_animation_model(config), config.model.image_size
    image = jnp.zeros((1, size, size, 3))
    variables = {"batch_stats": {}, **model.init(key, image, image)}
    if config.discriminator.enabled:
        keypoints = jnp.zeros((1, config.model.num_keypoints, 2))
        # A key of its own, so that a discriminator does not change how the generator starts.
        drawn = create_discriminator(config).init(jax.random.fold_in(key, 1), image, keypoints)
        for collection, tree in drawn.items():
            variables[collection] = {**variables[collection], DISCRIMINATOR: tree}
    return variables


def without_discriminator(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables of the animation model alone."""
    return {
        collection: {part: tree for part, tree in parts.items() if part != DISCRIMINATOR}
        for collection, parts in variables.items()
    }


def with_fresh_average(state: TrainState) -> TrainState:
    """The state with its moving averages at its present parameters and statistics."""
    variables = without_discriminator({"params": state.params, "batch_stats": state.batch_stats})
    # Copies: the training step gives its arguments' memory away.
    copies = jax.tree.map(jnp.copy, variables)
    return state.replace(ema_params=copies["params"], ema_batch_stats=copies["batch_stats"])


def follow_average(state: TrainState, decay: float, parts: Collection[str] | None = None) -> TrainState:
    """The state with its moving averages, if it has any, moved on to its present parameters and statistics.

    Args:
        decay: share of the old average that stays.
        parts: those of the model that have changed; None: all.
    """
    if state.ema_params is None:
        return state

    def follow(average: dict, present: dict) -> dict:
        changed = {part: present[part] for part in average if parts is None or part in parts}
        return {**average, **ema_update({part: average[part] for part in changed}, changed, decay)}

    return state.replace(
        ema_params=follow(state.ema_params, state.params),
        ema_batch_stats=follow(state.ema_batch_stats, state.batch_stats),
    )


def create_train_state(config: ConfigDict, optimizer: optax.GradientTransformation) -> TrainState:
    """A fresh state, drawn from the config's seed."""

    def init(key: jax.Array) -> TrainState:
        variables = create_variables(config, key)
        state = TrainState(step=jnp.zeros((), jnp.int32), **variables, opt_state=optimizer.init(variables["params"]))
        return with_fresh_average(state) if config.optimizer.ema_decay > 0 else state

    return jax.jit(init)(jax.random.key(config.seed))
