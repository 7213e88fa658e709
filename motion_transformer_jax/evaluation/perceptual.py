"""LPIPS where its weights are at hand: nothing is downloaded unless asked for."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.lpips import LPIPS
from motion_transformer_jax.torch_io.lpips import load_lpips

PerceptualDistance = Callable[[jax.Array, jax.Array], jax.Array]


def create_lpips(*, allow_download: bool = False) -> tuple[PerceptualDistance | None, str]:
    """The distance, or None and why.

    Args:
        allow_download: fetch AlexNet's weights (233 MB) where they are not in PyTorch's cache.

    Returns:
        (distance, ""), or (None, reason in one line). `distance(prediction, truth)` takes images [B, H, W, 3] of 31
        pixels or more, uint8 or float in [0, 1], and gives [B], 0 for equal ones.

    Raises:
        UserError: the download was allowed and failed, or a needed package is missing.
    """
    try:
        params = load_lpips(allow_download=allow_download)
    except UserError as error:
        if allow_download:
            raise
        return None, f"LPIPS is left out: {error}"
    return partial(_distance, jax.device_put(params, jax.local_devices()[0])), ""


@jax.jit
def _distance(params: dict, prediction: jax.Array, truth: jax.Array) -> jax.Array:
    with jax.default_matmul_precision("float32"):  # TPUs and GPUs round more by default
        return LPIPS(Layers()).apply({"params": params}, _unit(prediction), _unit(truth))


def _unit(images: jax.Array) -> jax.Array:
    images = jnp.asarray(images)
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
