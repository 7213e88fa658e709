"""The optimizer of a whole model: one Adam, learning rate and clipping for each of its parts."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.reduction import tree_norm
from motion_transformer_jax.training.finite import keep_unless

# The parts that have their own optimizer, by the top-level name in the parameter tree. Dense motion
# belongs to the generator in the official code: one optimizer steps both.
PART_OF = {
    "motion_estimator": "motion_estimator",
    "dense_motion": "generator",
    "generator": "generator",
    "background_predictor": "background_predictor",
    "discriminator": "discriminator",
    "disentangler": "disentangler",
}


def create_optimizer(
    *,
    learning_rates: dict[str, float | None],
    clip_norms: dict[str, float | None],
    milestones_steps: tuple[int, ...],
    gamma: float,
    b1: float,
    b2: float,
) -> optax.GradientTransformationExtraArgs:
    """Adam for each part of the model, as in the official training.

    Args:
      learning_rates: for each part ("motion_estimator", "generator", "background_predictor", "discriminator",
        "disentangler"); None: the part is frozen, and nothing is kept of its gradients.
      clip_norms: for each part, the largest norm of its gradients taken together, clipped before
        Adam sees them; absent or None: not clipped.
      milestones_steps: at each of these numbers of finished steps every learning rate is
        multiplied by `gamma`.
      gamma: see above.
      b1: decay of Adam's first moment (the papers: 0.5).
      b2: decay of Adam's second moment (the papers: 0.999).

    Returns:
      A transformation of the parameter tree {"motion_estimator": ..., "dense_motion": ...,
      "generator": ..., "background_predictor": ..., ...}; any of these may be absent. Its `update` takes `finite`, a
      bool scalar: where it is false the state stays as it is, and the updates mean nothing.

    Raises:
      ValueError: here, if a part is unknown; in `init`, if the tree has a part without a rate.
    """
    unknown = (set(learning_rates) | set(clip_norms)) - set(PART_OF.values())
    if unknown:
        known = sorted(set(PART_OF.values()))
        raise ValueError(f"unknown parts {sorted(unknown)}; expected some of {known}")

    def optimizer_of(part: str) -> optax.GradientTransformation:
        if learning_rates[part] is None:
            return optax.set_to_zero()
        schedule = _multi_step(learning_rates[part], milestones_steps, gamma)
        adam = optax.chain(_scale_by_adam(b1, b2), optax.scale_by_learning_rate(schedule))
        max_norm = clip_norms.get(part)
        return adam if max_norm is None else optax.chain(_clip_by_total_norm(max_norm), adam)

    def labels(params: dict) -> dict[str, str]:
        missing = [name for name in params if PART_OF.get(name) not in learning_rates]
        if missing:
            raise ValueError(f"no learning rate for the parameters of {missing}")
        return {name: PART_OF[name] for name in params}

    return _guarded(optax.partition({part: optimizer_of(part) for part in learning_rates}, labels))


def create_configured_optimizer(
    config: ConfigDict, *, milestone_steps: Sequence[int]
) -> optax.GradientTransformationExtraArgs:
    """The config's optimizer, with its milestones in steps.

    The disentangler learns by train.objective="disentanglement" alone, and nothing else does then; the motion estimator
    learns alone by "landmarks".
    """
    optimizer = config.optimizer
    parts = {"motion_estimator": "motion_estimator", "generator": "generator", "background_predictor": "background"}
    rates = {part: optimizer[f"learning_rate_{name}"] for part, name in parts.items()}
    rates["discriminator"] = optimizer.learning_rate_discriminator
    if config.train.objective == "disentanglement":
        rates = {**dict.fromkeys(rates), "disentangler": optimizer.learning_rate_disentangler}
    elif config.train.objective == "landmarks":
        rates = {part: rate if part == "motion_estimator" else None for part, rate in rates.items()}
    rates.setdefault("disentangler", None)
    absent = {
        "background_predictor": config.background.kind == "none",
        "discriminator": not config.discriminator.enabled,
        "disentangler": not config.disentangler.enabled,
    }
    clips = {part: optimizer[f"clip_{name}"] or None for part, name in parts.items()}
    return create_optimizer(
        learning_rates={part: rate for part, rate in rates.items() if not absent.get(part)},
        clip_norms={part: clip for part, clip in clips.items() if not absent.get(part)},
        milestones_steps=tuple(milestone_steps),
        gamma=optimizer.gamma,
        b1=optimizer.b1,
        b2=optimizer.b2,
    )


def ema_update(ema: optax.Params, params: optax.Params, decay: float) -> optax.Params:
    """Exponential moving average, leaf by leaf: decay * ema + (1 - decay) * params."""
    return jax.tree.map(lambda average, new: decay * average + (1 - decay) * new, ema, params)


def _multi_step(learning_rate: float, milestones: tuple[int, ...], gamma: float) -> optax.Schedule:
    """PyTorch's MultiStepLR, stepped once per update; a milestone given twice counts twice."""

    def schedule(step: jax.Array) -> jax.Array:
        passed = jnp.sum(step >= jnp.asarray(milestones, jnp.int32))
        return learning_rate * gamma**passed

    return schedule


def _guarded(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The optimizer with a state that stays as it is where `finite` is false; `_scale_by_adam` keeps Adam's own."""

    def is_adams(state: optax.OptState) -> bool:
        return isinstance(state, optax.ScaleByAdamState)

    def update(
        gradients: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        finite: jax.Array | bool = True,
    ):
        updates, after = optimizer.update(gradients, state, params, finite=finite)

        def keep(old: optax.OptState, new: optax.OptState) -> optax.OptState:
            return new if is_adams(new) else keep_unless(finite, old, new)

        return updates, jax.tree.map(keep, state, after, is_leaf=is_adams)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def _scale_by_adam(b1: float, b2: float) -> optax.GradientTransformationExtraArgs:
    """`optax.scale_by_adam`, whose result is computed from the new moments as they are written.

    From the old ones XLA computes it anew, beside the new moments that are to replace them, and has to copy them all at
    the beginning of the step. Where `finite` is false the moments stay as they are, by choice of the loop that writes
    them: a later choice would be another pass over all of them.
    """
    epsilon = 1e-8
    adam = optax.scale_by_adam(b1=b1, b2=b2, eps=epsilon)

    def update(
        gradients: optax.Updates,
        state: optax.ScaleByAdamState,
        params: optax.Params | None = None,
        *,
        finite: jax.Array | bool,
    ):
        _, after = adam.update(gradients, state, params)
        after = keep_unless(finite, state, after)
        state = after._replace(mu=jax.tree.map(materialize, after.mu), nu=jax.tree.map(materialize, after.nu))
        # mean / of_mean / (sqrt(square / of_square) + epsilon), with a single division for each number.
        of_mean, of_square = (1 - decay**state.count for decay in (b1, b2))
        factor, offset = (materialize(term) for term in (of_mean / jnp.sqrt(of_square), of_mean * epsilon))

        def scaled(mean: jax.Array, square: jax.Array) -> jax.Array:
            return mean / (jnp.sqrt(square) * factor.astype(mean.dtype) + offset.astype(mean.dtype))

        return jax.tree.map(scaled, state.mu, state.nu), state

    return optax.GradientTransformationExtraArgs(adam.init, update)


def _clip_by_total_norm(max_norm: float) -> optax.GradientTransformation:
    """PyTorch's `clip_grad_norm_`; its 1e-6 sets it apart from `optax.clip_by_global_norm`."""

    def clip(gradients: optax.Updates, params: optax.Params | None) -> optax.Updates:
        del params
        scale = materialize(jnp.minimum(1.0, max_norm / (tree_norm(gradients) + 1e-6)))
        return jax.tree.map(lambda gradient: gradient * scale.astype(gradient.dtype), gradients)

    return optax.stateless(clip)
