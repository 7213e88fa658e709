"""The train state: everything that a training step changes."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import create_animation_model, create_discriminator

DISCRIMINATOR = "discriminator"
DISENTANGLER = "disentangler"


@flax.struct.dataclass
class TrainState:
    """Parameters, statistics and optimiser after `step` updates.

    Attributes:
        step: int32 [], updates made so far.
        params: all parameters; the top level names the model's parts, and the discriminator.
        batch_stats: running statistics of the batch norms, and the vectors of the spectral norms.
        opt_state: the optimiser's state.
        ema_params: moving average of the model's parameters, or None.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    ema_params: Any = None

    def inference_variables(self) -> dict[str, Any]:
        """Variables of the animation model for evaluation: averaged parameters where there are any."""
        params = self.params if self.ema_params is None else self.ema_params
        return without_discriminator({"params": params, "batch_stats": self.batch_stats})


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


def create_train_state(config: ConfigDict, optimizer: optax.GradientTransformation) -> TrainState:
    """A fresh state, drawn from the config's seed."""

    def init(key: jax.Array) -> TrainState:
        variables = create_variables(config, key)
        params = variables["params"]
        averaged = without_discriminator({"params": params})["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
            ema_params=jax.tree.map(jnp.copy, averaged) if config.optimizer.ema_decay > 0 else None,
        )

    return jax.jit(init)(jax.random.key(config.seed))
