"""One training step and one reconstruction, both jitted; no files, no logging.

Order within a step (as the official code): the pairs are augmented; the estimator sees source, driving and warped
driving frame, each with its own batch statistics; the frame is generated; all losses are summed; one gradient, one
update of every part. A discriminator has a gradient of its own, of the same frames.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import AnimationModel, Generation, create_animation_model
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.models.vgg import VGG19
from motion_transformer_jax.ops import affine
from motion_transformer_jax.ops.backend import jit_program
from motion_transformer_jax.ops.collectives import mean_over_devices
from motion_transformer_jax.ops.color import to_float
from motion_transformer_jax.ops.reduction import tree_norm
from motion_transformer_jax.ops.resize import antialias_downsample
from motion_transformer_jax.ops.thin_plate import ThinPlate, sample_thin_plate, warp_image, warp_jacobian, warp_points
from motion_transformer_jax.training import losses
from motion_transformer_jax.training.adversarial import discriminator_loss, generator_losses
from motion_transformer_jax.training.finite import check_finite, keep_unless
from motion_transformer_jax.training.frames import Batch, augmented_frames
from motion_transformer_jax.training.landmark_guidance import landmark_guidance
from motion_transformer_jax.training.parallel import DATA_AXIS, map_over_data
from motion_transformer_jax.training.randomness import example_keys
from motion_transformer_jax.training.state import DISCRIMINATOR, TrainState, follow_average

Metrics = dict[str, jax.Array]


def create_training_model(config: ConfigDict) -> AnimationModel:
    """The model of the training step, whose estimator takes source, driving and warped driving frames at once."""
    return create_animation_model(config, train=True, axis_name=DATA_AXIS, estimated_batches=3)


def estimate_frames(model: AnimationModel, variables: dict, frames: jax.Array) -> tuple[list[Motion], Any]:
    """The motions of several batches of frames, each normalised by its own batch statistics.

    Args:
        model: takes N batches at once.
        frames: [N, B, H, W, 3] in [0, 1].

    Returns:
        N motions, and the updated `batch_stats`, as if the batches had come one after the other.
    """
    merged = frames.reshape(-1, *frames.shape[2:])
    motions, updated = model.apply(variables, merged, method="estimate", mutable=["batch_stats"])
    split = jax.tree.map(lambda x: x.reshape(*frames.shape[:2], *x.shape[1:]), motions)
    stats = {**variables["batch_stats"], **updated["batch_stats"]}
    return [jax.tree.map(lambda x, i=i: x[i], split) for i in range(len(frames))], stats


@flax.struct.dataclass
class Outcome:
    """What a step's forward pass leaves beside the total loss.

    Attributes:
        terms: each weighted loss by name.
        batch_stats: updated statistics of all parts.
        prediction: [B, H, W, 3].
        driving_keypoints: [B, K, 2].
    """

    terms: Metrics
    batch_stats: Any
    prediction: jax.Array
    driving_keypoints: jax.Array


def compute_losses(
    config: ConfigDict,
    model: AnimationModel,
    variables: dict,
    vgg_params: dict,
    source: jax.Array,
    driving: jax.Array,
    transform: ThinPlate,
    driving_joints: jax.Array | None = None,
) -> tuple[jax.Array, Outcome]:
    """The weighted sum of all losses of the animation model, and what else came out.

    Args:
        variables: {"params": ..., "batch_stats": ...} of the model and, where it has one, its discriminator.
        source, driving: [B, H, W, 3] in [0, 1].
        transform: the equivariance warp.
        driving_joints: [B, J, 2] in [-1, 1], for the landmark guidance.
    """
    frames = jnp.stack([source, driving, warp_image(transform, driving, align_corners=config.model.align_corners)])
    recomputed = jax.checkpoint if config.train.rematerialize else lambda function: function
    estimate = recomputed(functools.partial(estimate_frames, model))
    (source_motion, driving_motion, warped_motion), stats = estimate(variables, frames)
    render = recomputed(functools.partial(model.apply, method="render", mutable=["batch_stats"]))
    generation, updated = render(
        {"params": variables["params"], "batch_stats": stats}, source, driving, source_motion, driving_motion
    )
    stats = {**stats, **updated["batch_stats"]}
    terms = {
        "perceptual": _perceptual(config, vgg_params, generation.prediction, driving),
        **_equivariance(config, driving_motion, warped_motion, transform),
        **_mask_losses(config, generation),
    }
    if config.loss.keypoint_separation > 0:
        separation = losses.keypoint_separation(driving_motion.keypoints, radius=config.loss.separation_radius)
        terms["keypoint_separation"] = config.loss.keypoint_separation * separation
    if driving_joints is not None:
        terms["landmark_guidance"] = config.loss.landmark_guidance * landmark_guidance(driving_motion, driving_joints)
    if config.loss.adversarial > 0:
        own = discriminator_variables(variables["params"], stats)
        judged, vectors = generator_losses(config, own, generation.prediction, driving, driving_motion.keypoints)
        terms |= judged
        stats |= {DISCRIMINATOR: vectors} if vectors else {}
    return sum(terms.values()), Outcome(terms, stats, generation.prediction, driving_motion.keypoints)


def discriminator_variables(params: dict, batch_stats: dict) -> dict:
    """The discriminator's own variables; it has no statistics without spectral norms."""
    return {"params": params[DISCRIMINATOR], "batch_stats": batch_stats.get(DISCRIMINATOR, {})}


def _perceptual(config: ConfigDict, vgg_params: dict, prediction: jax.Array, driving: jax.Array) -> jax.Array:
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    weights = used_tap_weights(config)
    vgg = VGG19(Layers(dtype), num_taps=len(weights))
    count = len(prediction)
    both = jnp.concatenate([prediction, driving])
    pyramid = [antialias_downsample(both, scale, rounding="floor") for scale in config.loss.scales]
    features = [vgg.apply({"params": vgg_params}, level, num_constants=count) for level in pyramid]
    predicted = [[tap[:count] for tap in taps] for taps in features]
    real = [[tap[count:] for tap in taps] for taps in features]
    return losses.feature_distance(predicted, real, weights)


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
        * losses.equivariance_affine(driving.affine, mapped_affine, revert_axis_swap=config.model.revert_axis_swap),
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


def compute_gradients(
    config: ConfigDict,
    model: AnimationModel,
    params: dict,
    batch_stats: dict,
    vgg_params: dict,
    source: jax.Array,
    driving: jax.Array,
    transform: ThinPlate,
    driving_joints: jax.Array | None = None,
) -> tuple[dict, dict, Metrics]:
    """Gradients of all parts, the discriminator's of its own loss; updated `batch_stats`; each weighted loss, "total".

    "total" is the sum of the animation model's losses; "discriminator" is not in it.
    """
    fixed = {DISCRIMINATOR: params[DISCRIMINATOR]} if DISCRIMINATOR in params else {}

    def model_loss(trained: dict) -> tuple[jax.Array, Outcome]:
        variables = {"params": {**trained, **fixed}, "batch_stats": batch_stats}
        return compute_losses(config, model, variables, vgg_params, source, driving, transform, driving_joints)

    trained = {part: tree for part, tree in params.items() if part not in fixed}
    (total, outcome), gradients = jax.value_and_grad(model_loss, has_aux=True)(trained)
    terms, batch_stats = {"total": total, **outcome.terms}, outcome.batch_stats
    if config.loss.adversarial > 0:

        def own_loss(own_params: dict) -> tuple[jax.Array, Any]:
            variables = discriminator_variables({DISCRIMINATOR: own_params}, batch_stats)
            return discriminator_loss(config, variables, outcome.prediction, driving, outcome.driving_keypoints)

        (terms["discriminator"], stats), gradients[DISCRIMINATOR] = jax.value_and_grad(own_loss, has_aux=True)(
            params[DISCRIMINATOR]
        )
        batch_stats = {**batch_stats, **({DISCRIMINATOR: stats} if stats else {})}
    elif fixed:
        gradients |= jax.tree.map(jnp.zeros_like, fixed)
    return gradients, batch_stats, terms


def create_train_step(
    config: ConfigDict,
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh,
    vgg_params: dict,
    *,
    named: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The compiled update, mapped over the mesh's devices.

    Args:
        config, optimizer, mesh, vgg_params: of the experiment.
        named: whether its operations have names in profiles; off CPUs they have them anyway.

    Returns:
        A function of the state (donated) and the global batch {"source", "driving"}, uint8 [B, H, W, 3], with
        "driving_joints" [B, J, 2] where the landmark guidance is on, to the new state and float32 scalars: every
        weighted loss, "total", "gradient_norm/PART" and `finite.SKIPPED`.
    """
    model = create_training_model(config)

    def step(state: TrainState, batch: Batch, vgg_params: dict) -> tuple[TrainState, Metrics]:
        source, driving = augmented_frames(config, state.step, batch)
        transform = sample_warps(config, state.step, source.shape[0])

        gradients, batch_stats, terms = compute_gradients(
            config,
            model,
            state.params,
            state.batch_stats,
            vgg_params,
            source,
            driving,
            transform,
            batch.get("driving_joints"),
        )
        gradients = mean_over_devices(gradients, DATA_AXIS)
        metrics = mean_over_devices(terms, DATA_AXIS)
        metrics |= {f"gradient_norm/{part}": tree_norm(g) for part, g in gradients.items()}
        finite, metrics = check_finite(metrics)
        return apply_gradients(config, optimizer, state, gradients, batch_stats, finite=finite), metrics

    return map_over_data(step, mesh, vgg_params, named=named)


def apply_gradients(
    config: ConfigDict,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainState,
    gradients: Any,
    batch_stats: Any,
    *,
    finite: jax.Array | bool = True,
) -> TrainState:
    """The state after one update by the optimiser; where `finite` is false, the one before with the step counted."""
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params, finite=finite)
    params = optax.apply_updates(state.params, updates)
    after = follow_average(state.replace(params=params, batch_stats=batch_stats), config.optimizer.ema_decay)
    return _choose(finite, state, after, opt_state)


def _choose(finite: jax.Array | bool, before: TrainState, after: TrainState, opt_state: optax.OptState) -> TrainState:
    """The step counted and the optimiser's state as given; the rest as after the step if finite, else as before."""
    kept = keep_unless(finite, before.replace(opt_state=None), after.replace(opt_state=None))
    return kept.replace(step=before.step + 1, opt_state=opt_state)


def update_part(
    config: ConfigDict,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainState,
    part: str,
    gradients: Any,
    batch_stats: Any,
    *,
    finite: jax.Array | bool = True,
) -> TrainState:
    """`apply_gradients` to one part; the others are passed on, not moved by 0 (which changes -0)."""
    all_gradients = {**jax.tree.map(jnp.zeros_like, state.params), part: gradients}
    updates, opt_state = optimizer.update(all_gradients, state.opt_state, state.params, finite=finite)
    params = optax.apply_updates(state.params[part], updates[part])
    after = state.replace(params={**state.params, part: params}, batch_stats={**state.batch_stats, part: batch_stats})
    return _choose(finite, state, follow_average(after, config.optimizer.ema_decay, [part]), opt_state)


def create_reconstruct(config: ConfigDict) -> Callable[[dict, jax.Array, jax.Array], Generation]:
    """The compiled reconstruction: variables, source and driving images [B, H, W, 3] to the Generation."""
    model = create_animation_model(config)
    return jit_program(lambda variables, source, driving: model.apply(variables, to_float(source), to_float(driving)))


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

    return jit_program(evaluate)
