"""Adam with its own learning rate and clipping for every part of the model."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import optax

# Top-level part of the parameters -> group with one learning rate and one clipping norm.
GROUPS = {
    "motion_estimator": "motion_estimator",
    "dense_motion": "generator",
    "generator": "generator",
    "background_predictor": "background",
}


def clip_by_total_norm(max_norm: float) -> optax.GradientTransformation:
    """Scales gradients by min(1, max_norm / (total norm + 1e-6)), as PyTorch's `clip_grad_norm_` does."""

    def clip(gradients, params=None):
        del params
        factor = jnp.minimum(1.0, max_norm / (optax.tree.norm(gradients) + 1e-6))
        return jax.tree.map(lambda g: g * factor.astype(g.dtype), gradients)

    return optax.stateless(clip)


def create_optimizer(
    *,
    learning_rates: Mapping[str, float],
    clip_norms: Mapping[str, float],
    milestones_steps: Sequence[int],
    gamma: float,
    b1: float,
    b2: float,
) -> optax.GradientTransformation:
    """One Adam for each group of `GROUPS`, as the official code has one for each module.

    Args:
        learning_rates: group -> rate before the first milestone.
        clip_norms: group -> largest total gradient norm; 0: no clipping.
        milestones_steps: updates after which all rates are multiplied by gamma.
    """
    decay = {step: gamma for step in milestones_steps}

    def group_optimizer(group: str) -> optax.GradientTransformation:
        schedule = optax.piecewise_constant_schedule(learning_rates[group], decay)
        adam = optax.adam(schedule, b1=b1, b2=b2, eps=1e-8)
        clip = clip_norms[group]
        return optax.chain(clip_by_total_norm(clip), adam) if clip > 0 else adam

    def labels(params):
        return {part: jax.tree.map(lambda _, g=GROUPS[part]: g, tree) for part, tree in params.items()}

    return optax.partition({group: group_optimizer(group) for group in learning_rates}, labels)


def update_ema(average, params, *, decay: float):
    """decay × average + (1 - decay) × params, leaf by leaf."""
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
