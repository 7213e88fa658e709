"""The adversarial part of a training step: what the discriminator tells the generator, and its own loss (FOMM).

Both are taken at the weights of before the step: the discriminator learns from the frames that the generator has just
been judged by.
"""

from typing import Any

import jax
from ml_collections import ConfigDict

from motion_transformer_jax.models.animation_model import create_discriminator
from motion_transformer_jax.models.discriminator import Discriminator
from motion_transformer_jax.training import losses

# For each scale: features after each block, scores.
Judgement = list[tuple[list[jax.Array], jax.Array]]


def judge(
    discriminator: Discriminator, variables: dict, prediction: jax.Array, driving: jax.Array, keypoints: jax.Array
) -> tuple[Judgement, Judgement, Any]:
    """What the discriminator makes of predicted and driving frames, [B, H, W, 3] each, in this order.

    Args:
        variables: {"params": ..., "batch_stats": ...} of the discriminator.
        keypoints: [B, K, 2] of the driving frames; no gradient flows into them.

    Returns:
        (of the prediction, of the driving frame, updated `batch_stats`).
    """
    keypoints, results, stats = jax.lax.stop_gradient(keypoints), [], variables["batch_stats"]
    for image in (prediction, driving):
        judged, updated = discriminator.apply(
            {"params": variables["params"], "batch_stats": stats}, image, keypoints, mutable=["batch_stats"]
        )
        stats = updated.get("batch_stats", stats)
        results.append(judged)
    return *results, stats


def generator_losses(
    config: ConfigDict, variables: dict, prediction: jax.Array, driving: jax.Array, keypoints: jax.Array
) -> tuple[dict[str, jax.Array], Any]:
    """The generator's weighted losses, and the discriminator's updated `batch_stats`; arguments as `judge`."""
    judged = judge(create_discriminator(config, train=True), variables, prediction, driving, keypoints)
    (generated, real), stats = map(_split, judged[:2]), judged[2]
    terms = {
        "adversarial": config.loss.adversarial * losses.adversarial(generated[1]),
        "feature_matching": losses.feature_distance(generated[0], real[0], config.loss.feature_matching),
    }
    return terms, stats


def discriminator_loss(
    config: ConfigDict, variables: dict, prediction: jax.Array, driving: jax.Array, keypoints: jax.Array
) -> tuple[jax.Array, Any]:
    """The discriminator's weighted loss and its updated `batch_stats`; no gradient flows into the prediction."""
    prediction = jax.lax.stop_gradient(prediction)
    judged = judge(create_discriminator(config, train=True), variables, prediction, driving, keypoints)
    (generated, real), stats = map(_split, judged[:2]), judged[2]
    return config.loss.discriminator * losses.discriminator(real[1], generated[1]), stats


def _split(judgement: Judgement) -> tuple[list[list[jax.Array]], list[jax.Array]]:
    return [features for features, _ in judgement], [scores for _, scores in judgement]
