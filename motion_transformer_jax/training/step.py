"""One training step and one reconstruction, both jitted; no files, no logging.

Order within a step (as the official code): the estimator sees source, driving and warped driving frame, each with its
own batch statistics; the frame is generated; all losses are summed; one gradient, one update of every part.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import AnimationModel, Generation, create_animation_model
from motion_transformer_jax.models.blocks import BATCH_NORM_MOMENTUM, Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.models.vgg import VGG19
from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.resize import antialias_downsample
from motion_transformer_jax.ops.thin_plate import ThinPlate, sample_thin_plate, warp_image, warp_jacobian, warp_points
from motion_transformer_jax.training import losses
from motion_transformer_jax.training.optimizer import ema_update
from motion_transformer_jax.training.parallel import DATA_AXIS, map_over_data
from motion_transformer_jax.training.randomness import example_keys
from motion_transformer_jax.training.state import TrainState

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


def to_float(image: jax.Array) -> jax.Array:
    """uint8 image to float32 in [0, 1]; a float image stays as it is."""
    return image.astype(jnp.float32) / 255 if image.dtype == jnp.uint8 else image


def estimate_frames(model: AnimationModel, variables: dict, frames: jax.Array) -> tuple[list[Motion], Any]:
    """The motions of several batches of frames, each normalised by its own batch statistics.

    All frames go through the estimator in one vmapped call. Running statistics end as if the batches had come one
    after the other.

    Args:
        frames: [N, B, H, W, 3] in [0, 1].

    Returns:
        N motions, and the updated `batch_stats`.
    """

    def estimate(frame: jax.Array) -> tuple[Motion, dict]:
        return model.apply(variables, frame, method="estimate", mutable=["batch_stats"])

    motions, updated = jax.vmap(estimate)(frames)
    keep = BATCH_NORM_MOMENTUM

    def in_turn(before: jax.Array, after: jax.Array) -> jax.Array:
        value = before
        for single in after:
            value = keep * value + (single - keep * before)
        return value

    before = variables["batch_stats"]
    stats = {part: jax.tree.map(in_turn, before[part], after) for part, after in updated["batch_stats"].items()}
    return [jax.tree.map(lambda x, i=i: x[i], motions) for i in range(len(frames))], {**before, **stats}


def compute_losses(
    config: ConfigDict,
    model: AnimationModel,
    variables: dict,
    vgg_params: dict,
    source: jax.Array,
    driving: jax.Array,
    transform: ThinPlate,
) -> tuple[jax.Array, tuple[Metrics, Any]]:
    """The weighted sum of all losses; also each weighted loss by name, and the updated `batch_stats`."""
    frames = jnp.stack([source, driving, warp_image(transform, driving, align_corners=config.model.align_corners)])
    (source_motion, driving_motion, warped_motion), stats = estimate_frames(model, variables, frames)
    generation, updated = model.apply(
        {"params": variables["params"], "batch_stats": stats},
        *(source, driving, source_motion, driving_motion),
        method="render",
        mutable=["batch_stats"],
    )
    terms = {
        "perceptual": _perceptual(config, vgg_params, generation.prediction, driving),
        **_equivariance(config, driving_motion, warped_motion, transform),
        **_mask_losses(config, generation),
    }
    return sum(terms.values()), (terms, {**stats, **updated["batch_stats"]})


def _perceptual(config: ConfigDict, vgg_params: dict, prediction: jax.Array, driving: jax.Array) -> jax.Array:
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    weights = used_tap_weights(config)
    vgg = VGG19(Layers(dtype), num_taps=len(weights))

    def features(image: jax.Array) -> list[list[jax.Array]]:
        pyramid = [antialias_downsample(image, scale, rounding="floor") for scale in config.loss.scales]
        return [vgg.apply({"params": vgg_params}, level) for level in pyramid]

    return losses.perceptual(features(prediction), features(driving), weights)


def used_tap_weights(config: ConfigDict) -> list[float]:
    """The perceptual loss's weights up to the last one above 0; later taps of the VGG are not computed."""
    weights = list(config.loss.perceptual)
    while weights[-1] == 0:
        weights.pop()
    return weights


def _equivariance(config: ConfigDict, driving: Motion, warped: Motion, transform: ThinPlate) -> Metrics:
    keypoints = losses.equivariance_keypoints(driving.keypoints, warp_points(transform, warped.keypoints))
    mapped_affine = affine.compose(warp_jacobian(transform, warped.keypoints), warped.affine)
    return {
        "equivariance_keypoints": config.loss.equivariance_keypoints * keypoints,
        "equivariance_affine": config.loss.equivariance_affine
        * losses.equivariance_affine(driving.affine, mapped_affine),
    }


def _mask_losses(config: ConfigDict, generation: Generation) -> Metrics:
    mask, terms = generation.dense.mask, {}
    if config.loss.background_mask > 0:
        value = losses.background_mask(
            mask, num_keypoints=config.model.num_keypoints, has_background=config.background.kind != "none"
        )
        terms["background_mask"] = config.loss.background_mask * value
    if config.loss.mask_concentration > 0:
        terms["mask_concentration"] = config.loss.mask_concentration * losses.mask_concentration(mask)
    return terms


def sample_warps(config: ConfigDict, step: jax.Array, count: int) -> ThinPlate:
    """Random equivariance warps for this device's examples."""

    def sample(key: jax.Array) -> ThinPlate:
        return sample_thin_plate(
            key,
            1,
            sigma_affine=config.loss.warp_sigma_affine,
            sigma_tps=config.loss.warp_sigma_tps,
            points=config.loss.warp_points,
        )

    keys = example_keys(config.seed, "equivariance_warp", step, count, DATA_AXIS)
    return jax.tree.map(lambda x: x[:, 0], jax.vmap(sample)(keys))


def create_train_step(
    config: ConfigDict,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    vgg_params: dict,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The compiled update, mapped over the mesh's devices.

    Returns:
        A function of the state (donated) and the global batch {"source", "driving"}, uint8 [B, H, W, 3], to the new
        state and float32 scalars: every weighted loss, "total", and "gradient_norm/PART".
    """
    model = create_animation_model(config, train=True, axis_name=DATA_AXIS)

    def step(state: TrainState, batch: Batch, vgg_params: dict) -> tuple[TrainState, Metrics]:
        source, driving = to_float(batch["source"]), to_float(batch["driving"])
        transform = sample_warps(config, state.step, source.shape[0])

        def loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            return compute_losses(config, model, variables, vgg_params, source, driving, transform)

        (total, (terms, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
        gradients = jax.lax.pmean(gradients, DATA_AXIS)
        metrics = jax.lax.pmean({"total": total, **terms}, DATA_AXIS)
        metrics |= {f"gradient_norm/{part}": optax.tree.norm(g) for part, g in gradients.items()}
        return apply_gradients(config, optimizer, state, gradients, batch_stats), metrics

    mapped = map_over_data(step, mesh)
    return lambda state, batch: mapped(state, batch, vgg_params)


def apply_gradients(
    config: ConfigDict, optimizer: optax.GradientTransformation, state: TrainState, gradients: Any, batch_stats: Any
) -> TrainState:
    """The state after one update by the optimiser."""
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema_params
    if ema is not None:
        ema = ema_update(ema, params, config.optimizer.ema_decay)
    return TrainState(state.step + 1, params, batch_stats, opt_state, ema)


def create_reconstruct(config: ConfigDict) -> Callable[[dict, jax.Array, jax.Array], Generation]:
    """The compiled reconstruction: variables, source and driving images [B, H, W, 3] to the Generation."""
    model = create_animation_model(config)
    return jax.jit(lambda variables, source, driving: model.apply(variables, to_float(source), to_float(driving)))


def create_eval_step(config: ConfigDict) -> Callable[[dict, Batch], Metrics]:
    """The compiled validation: variables and a batch to mean absolute errors in [0, 1].

    "l1" is the reconstruction's, "l1_copy_source" that of taking the source for the driving frame.
    """
    model = create_animation_model(config)

    def evaluate(variables: dict, batch: Batch) -> Metrics:
        source, driving = to_float(batch["source"]), to_float(batch["driving"])
        prediction = model.apply(variables, source, driving).prediction
        return {
            "l1": jnp.mean(jnp.abs(prediction - driving)),
            "l1_copy_source": jnp.mean(jnp.abs(source - driving)),
        }

    return jax.jit(evaluate)
