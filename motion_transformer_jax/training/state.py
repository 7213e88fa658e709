"""The train state: everything that a training step changes."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import create_animation_model


@flax.struct.dataclass
class TrainState:
    """Parameters, statistics and optimiser after `step` updates.

    Attributes:
        step: int32 [], updates made so far.
        params: the model's parameters; the top level names its parts.
        batch_stats: running statistics of the batch norms.
        opt_state: the optimiser's state.
        ema_params: moving average of params, or None.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    ema_params: Any = None

    def inference_variables(self) -> dict[str, Any]:
        """Variables for evaluation: averaged parameters where there are any."""
        params = self.params if self.ema_params is None else self.ema_params
        return {"params": params, "batch_stats": self.batch_stats}


def create_train_state(config: ConfigDict, optimizer: optax.GradientTransformation) -> TrainState:
    """A fresh state, drawn from the config's seed."""
    model = create_animation_model(config)
    size = config.model.image_size

    def init(key: jax.Array) -> TrainState:
        image = jnp.zeros((1, size, size, 3))
        variables = model.init(key, image, image)
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
            ema_params=jax.tree.map(jnp.copy, params) if config.optimizer.ema_decay > 0 else None,
        )

    return jax.jit(init)(jax.random.key(config.seed))
