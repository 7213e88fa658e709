"""Training of the motion estimator alone by landmark guidance, and its validation; jitted, no files.

A step takes one frame and no generator: a tenth of the time of a reconstruction's.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.ops.backend import jit_program
from motion_transformer_jax.ops.collectives import mean_over_devices
from motion_transformer_jax.ops.color import to_float
from motion_transformer_jax.ops.reduction import tree_norm
from motion_transformer_jax.training.finite import check_finite
from motion_transformer_jax.training.frames import Batch, augmented_frames
from motion_transformer_jax.training.landmark_guidance import landmark_guidance, part_motion
from motion_transformer_jax.training.parallel import DATA_AXIS, map_over_data
from motion_transformer_jax.training.state import MOTION_ESTIMATOR, TrainState
from motion_transformer_jax.training.step import Metrics, update_part


def create_landmark_step(
    config: ConfigDict, optimizer: optax.GradientTransformationExtraArgs, mesh: Mesh
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The compiled update of the motion estimator, mapped over the mesh's devices; all else stays as it is.

    Returns:
        A function of the state (donated) and the global batch {"source", "driving"}, uint8 [B, H, W, 3], and
        "driving_joints" [B, J, 2] to the new state and float32 scalars: "landmark_guidance" (weighted), "total",
        "gradient_norm/motion_estimator" and `finite.SKIPPED`.
    """
    model = create_animation_model(config, train=True, axis_name=DATA_AXIS)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _, driving = augmented_frames(config, state.step, batch)

        def loss(params: dict) -> tuple[jax.Array, Any]:
            own = {"params": {MOTION_ESTIMATOR: params}, "batch_stats": state.batch_stats}
            motion, updated = model.apply(own, driving, method="estimate", mutable=["batch_stats"])
            value = config.loss.landmark_guidance * landmark_guidance(motion, batch["driving_joints"])
            return value, updated["batch_stats"][MOTION_ESTIMATOR]

        (value, batch_stats), gradients = jax.value_and_grad(loss, has_aux=True)(state.params[MOTION_ESTIMATOR])
        gradients = mean_over_devices(gradients, DATA_AXIS)
        value = mean_over_devices(value, DATA_AXIS)
        metrics = {
            "total": value,
            "landmark_guidance": value,
            "gradient_norm/motion_estimator": tree_norm(gradients),
        }
        finite, metrics = check_finite(metrics)
        return update_part(config, optimizer, state, MOTION_ESTIMATOR, gradients, batch_stats, finite=finite), metrics

    return map_over_data(step, mesh)


def create_landmark_eval_step(config: ConfigDict) -> Callable[[dict, Batch], Metrics]:
    """The compiled validation: variables and a batch to mean absolute errors.

    "l1" is that of the keypoints in units of the frame's half width, "l1_affine" that of the affines' entries.
    """
    model = create_animation_model(config)

    def evaluate(variables: dict, batch: Batch) -> Metrics:
        motion = model.apply(variables, to_float(batch["driving"]), method="estimate")
        expected = part_motion(batch["driving_joints"])
        return {
            "l1": jnp.mean(jnp.abs(motion.keypoints - expected.keypoints)),
            "l1_affine": jnp.mean(jnp.abs(motion.affine - expected.affine)),
        }

    return jit_program(evaluate)
