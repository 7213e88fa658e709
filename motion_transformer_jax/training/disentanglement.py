"""Training of the disentangler alone, and its validation (MRAA's animation via disentanglement); jitted, no files.

A driving pose that is stretched along x and y stands for one of another build. From the source's motion, which has the
right build, and the stretched driving motion the disentangler must give the driving motion as it was.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import AnimationModel, Generation, create_animation_model
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops.collectives import mean_over_devices
from motion_transformer_jax.ops.color import to_float
from motion_transformer_jax.ops.reduction import tree_norm
from motion_transformer_jax.training import losses
from motion_transformer_jax.training.finite import check_finite
from motion_transformer_jax.training.frames import Batch, augmented_frames
from motion_transformer_jax.training.parallel import DATA_AXIS, map_over_data
from motion_transformer_jax.training.randomness import example_keys
from motion_transformer_jax.training.state import DISENTANGLER, TrainState
from motion_transformer_jax.training.step import Metrics, update_part


def stretch(motion: Motion, factors: jax.Array) -> Motion:
    """The motion [B, K, 2] in a plane stretched by factors [B, 2] along x and y; without a covariance."""
    keypoints = motion.keypoints * factors[:, None, :]
    return Motion(keypoints, motion.affine * factors[:, None, :, None])


def sample_factors(config: ConfigDict, stream: str, step: jax.Array, count: int, axis_name: str | None) -> jax.Array:
    """Random stretches [count, 2], uniform within 1 ± loss.disentangled_scale; arguments as `example_keys`."""
    scale = config.loss.disentangled_scale
    keys = example_keys(config.seed, stream, step, count, axis_name)
    return jax.vmap(lambda key: jax.random.uniform(key, (2,), minval=1 - scale, maxval=1 + scale))(keys)


def estimate_pair(
    model: AnimationModel, variables: dict, source: jax.Array, driving: jax.Array
) -> tuple[Motion, Motion]:
    """The motions of source and driving images, [B, H, W, 3] each."""
    frames = jnp.concatenate([to_float(source), to_float(driving)])
    motions = model.apply(variables, frames, method="estimate")
    count = frames.shape[0] // 2
    return jax.tree.map(lambda x: x[:count], motions), jax.tree.map(lambda x: x[count:], motions)


def disentanglement_losses(config: ConfigDict, driving: Motion, disentangled: Motion) -> Metrics:
    """Each weighted loss of the disentangler by name."""
    keypoints = losses.disentangled_keypoints(driving.keypoints, disentangled.keypoints)
    affine = losses.disentangled_affine(driving.affine, disentangled.affine)
    return {
        "disentangled_keypoints": config.loss.disentangled_keypoints * keypoints,
        "disentangled_affine": config.loss.disentangled_affine * affine,
    }


def create_disentanglement_step(
    config: ConfigDict, optimizer: optax.GradientTransformationExtraArgs, mesh: Mesh
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The compiled update of the disentangler, mapped over the mesh's devices; all else of the state stays as it is.

    Motions are estimated with the estimator's running statistics. The official training normalises by those of each
    batch and so lets the running ones of the frozen estimator drift, which no later step makes good.

    Returns:
        A function of the state (donated) and the global batch {"source", "driving"}, uint8 [B, H, W, 3], to the new
        state and float32 scalars: "disentangled_keypoints", "disentangled_affine" (weighted), "total",
        "gradient_norm/disentangler" and `finite.SKIPPED`.
    """
    frozen = create_animation_model(config)
    trained = create_animation_model(config, train=True, axis_name=DATA_AXIS)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        source, driving = estimate_pair(frozen, variables, *augmented_frames(config, state.step, batch))
        factors = sample_factors(config, "stretch", state.step, batch["source"].shape[0], DATA_AXIS)
        stretched = stretch(driving, factors)

        def loss(params: dict) -> tuple[jax.Array, tuple[Metrics, Any]]:
            own = {"params": {DISENTANGLER: params}, "batch_stats": state.batch_stats}
            motion, updated = trained.apply(own, source, stretched, method="disentangle", mutable=["batch_stats"])
            terms = disentanglement_losses(config, driving, motion)
            return sum(terms.values()), (terms, updated["batch_stats"][DISENTANGLER])

        differentiate = jax.value_and_grad(loss, has_aux=True)
        (total, (terms, batch_stats)), gradients = differentiate(state.params[DISENTANGLER])
        gradients = mean_over_devices(gradients, DATA_AXIS)
        metrics = mean_over_devices({"total": total, **terms}, DATA_AXIS)
        metrics["gradient_norm/disentangler"] = tree_norm(gradients)
        finite, metrics = check_finite(metrics)
        return update_part(config, optimizer, state, DISENTANGLER, gradients, batch_stats, finite=finite), metrics

    return map_over_data(step, mesh)


def create_disentanglement_eval_step(config: ConfigDict) -> Callable[[dict, Batch], Metrics]:
    """The compiled validation: variables and a batch to mean absolute errors, of the same stretches at every call.

    "l1" is that of the disentangled keypoints against the driving ones, "l1_stretched" that of the stretched ones which
    the disentangler was given; "l1_affine" and "l1_affine_stretched" are the same of the affines.
    """
    model = create_animation_model(config)

    def evaluate(variables: dict, batch: Batch) -> Metrics:
        source, driving = estimate_pair(model, variables, batch["source"], batch["driving"])
        factors = sample_factors(config, "validation_stretch", 0, batch["source"].shape[0], None)
        stretched = stretch(driving, factors)
        disentangled = model.apply(variables, source, stretched, method="disentangle")
        return {
            "l1": losses.disentangled_keypoints(driving.keypoints, disentangled.keypoints),
            "l1_stretched": losses.disentangled_keypoints(driving.keypoints, stretched.keypoints),
            "l1_affine": losses.disentangled_affine(driving.affine, disentangled.affine),
            "l1_affine_stretched": losses.disentangled_affine(driving.affine, stretched.affine),
        }

    return jax.jit(evaluate)


def create_disentangled_animation(config: ConfigDict) -> Callable[[dict, jax.Array, jax.Array], Generation]:
    """The compiled animation: variables, source and driving images [B, H, W, 3] to the Generation.

    It shows the source figures in the driving poses, as `animate --mode avd` does; its `driving_motion` is the
    driving frames' own.
    """
    model = create_animation_model(config)

    def animate(variables: dict, source: jax.Array, driving: jax.Array) -> Generation:
        source_motion, driving_motion = estimate_pair(model, variables, source, driving)
        motion = model.apply(variables, source_motion, driving_motion, method="disentangle")
        features = model.apply(variables, to_float(source), method="encode")
        generation = model.apply(variables, to_float(source), features, source_motion, motion, method="generate")
        return generation.replace(driving_motion=driving_motion)

    return jax.jit(animate)
