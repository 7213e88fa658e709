"""Self-reconstruction: the first frame of a video is the source, every frame drives it (official `reconstruction`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.evaluation.metrics import frame_metrics
from motion_transformer_jax.inference.animated_frame import SourceState
from motion_transformer_jax.inference.batching import default_batch_size, in_order, pad_batch, split_batches
from motion_transformer_jax.models.animation_model import AnimationModel, create_animation_model
from motion_transformer_jax.ops.color import to_float


@dataclass(frozen=True)
class ReconstructedFrame:
    """One frame, on the host.

    Attributes:
        driving: uint8 [S, S, 3], the truth.
        prediction: uint8 [S, S, 3].
        metrics: of `frame_metrics`, measured before rounding to uint8.
    """

    driving: np.ndarray
    prediction: np.ndarray
    metrics: dict[str, float]


class Reconstructor:
    """Reconstructs videos by one trained model; unlike the Animator with the background's motion, where it has one.

    Attributes:
        image_size: S, side of the model's images in pixels.
        batch_size: driving frames in a batch.
    """

    def __init__(self, config: ConfigDict, variables: Any, *, batch_size: int | None = None):
        """Prepares; nothing is compiled before it is used.

        Args:
            config: the config that the model was trained with.
            variables: {"params": ..., "batch_stats": ...}.
            batch_size: None: `default_batch_size` of one device.
        """
        self.image_size: int = config.model.image_size
        self.batch_size = batch_size or default_batch_size(1)
        model = create_animation_model(config)
        variables = jax.device_put(variables, jax.local_devices()[0])
        self._encode = partial(_encode, model, variables)
        self._reconstruct = partial(_reconstruct, model, variables)

    def reconstruct(self, frames: Iterable[np.ndarray]) -> Iterator[ReconstructedFrame]:
        """Streams a video's frames, uint8 [S, S, 3] each, reconstructed from the first of them."""
        batches = split_batches(frames, self.batch_size)
        for frame, (prediction, metrics) in in_order(self._start(batches)):
            yield ReconstructedFrame(frame, prediction[0], {name: float(value[0]) for name, value in metrics.items()})

    def _start(self, batches: Iterable[list[np.ndarray]]) -> Iterator[tuple[list[np.ndarray], Any]]:
        source = None
        for batch in batches:
            if source is None:
                source = self._encode(batch[0][None])
            yield batch, self._reconstruct(source, pad_batch(batch, self.batch_size))


# The model is hashable by its fields: models of one config share what was compiled.
@partial(jax.jit, static_argnums=0)
def _encode(model: AnimationModel, variables: Any, image: jax.Array) -> SourceState:
    image = to_float(image)
    return SourceState(
        image, model.apply(variables, image, method="encode"), model.apply(variables, image, method="estimate")
    )


@partial(jax.jit, static_argnums=0)
def _reconstruct(
    model: AnimationModel, variables: Any, source: SourceState, frames: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Predictions uint8 [B, S, S, 3] of frames uint8 [B, S, S, 3], and their metrics [B]."""
    driving = to_float(frames)
    sources = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(frames), *x.shape[1:])), source)
    motion = model.apply(variables, driving, method="estimate")
    background = model.apply(variables, sources.image, driving, method="background")
    generation = model.apply(
        variables, sources.image, sources.features, sources.motion, motion, background, method="generate"
    )
    prediction = jnp.round(jnp.clip(generation.prediction, 0, 1) * 255).astype(jnp.uint8)
    return prediction, frame_metrics(generation.prediction, driving)
