"""Parameters and multiply-adds of the networks: the poster's capacity table, and that of any config.

All is counted from shapes and traced programs, for one frame or one pair of frames; no weights are made.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.configs import taichi256
from motion_transformer_jax.evaluation.multiply_adds import MultiplyAdds, count_multiply_adds
from motion_transformer_jax.models.animation_model import AnimationModel, create_animation_model, create_discriminator
from motion_transformer_jax.models.dense_motion import DenseMotion
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.training.checkpoint import variable_shapes
from motion_transformer_jax.training.config_check import validate_config


@dataclass(frozen=True)
class PosterFigures:
    """Figures as the poster prints them, cut or rounded.

    Attributes:
        parameters_millions: number of learned values.
        multiply_adds_billions: of convolutions and linear layers at 256×256; None where the poster has none.
    """

    parameters_millions: float
    multiply_adds_billions: float | None = None


@dataclass(frozen=True)
class Capacity:
    """What a network costs.

    Attributes:
        network: its name.
        config: name of the config that it is counted from.
        image_size: pixels along a side of a frame.
        parameters: number of learned values; running statistics are none of them.
        multiply_adds: of one call with a batch of 1.
        poster: the poster's figures, None where it has none.
        note: what a reader of the figures should know; may be empty.
    """

    network: str
    config: str
    image_size: int
    parameters: int
    multiply_adds: MultiplyAdds
    poster: PosterFigures | None = None
    note: str = ""

    @property
    def misses(self) -> list[str]:
        """What differs from the poster: another digit of the parameters, or 1 % of the layers' multiply-adds."""
        if self.poster is None:
            return []
        millions, billions = self.poster.parameters_millions, self.poster.multiply_adds_billions
        misses = []
        if abs(self.parameters / 1e6 - millions) >= 0.01:  # the last digit may be cut or rounded
            misses.append(f"{self.parameters / 1e6:.2f} M parameters, {millions:.2f} M on the poster")
        if billions and abs(self.multiply_adds.layers / 1e9 / billions - 1) > 0.01:
            misses.append(f"{self.multiply_adds.layers / 1e9:.2f} G multiply-adds, {billions:.2f} G on the poster")
        return misses


_ESTIMATOR, _IMAGE_GENERATOR = ("motion estimator",), ("dense motion", "generator")
_MRAA_NOTE = "no official configuration of MRAA has the poster's figures; this is the one for TaiChiHD"
# Network, variant of configs/taichi256.py (the poster's ablations are on TaiChiHD), parts, the poster's figures, note.
POSTER_LINES = (
    ("FOMM's keypoint detector", "fomm", _ESTIMATOR, PosterFigures(14.21, 1.28), ""),
    ("MRAA's region predictor", "mraa", _ESTIMATOR, PosterFigures(14.20, 1.26), _MRAA_NOTE),
    ("motion transformer: HRNet-W32, 12 layers", "", _ESTIMATOR, PosterFigures(12.23, 7.54), ""),
    ("motion transformer: stem", "stem", _ESTIMATOR, PosterFigures(5.56), ""),
    ("motion transformer: HRNet-W48", "hrnet_w48", _ESTIMATOR, PosterFigures(21.30), ""),
    ("motion transformer: 4 layers", "depth4", _ESTIMATOR, None, ""),
    ("motion transformer: 8 layers", "depth8", _ESTIMATOR, None, ""),
    ("motion transformer: no position encoding", "no_position", _ESTIMATOR, None, ""),
    ("image generator, with dense motion", "", _IMAGE_GENERATOR, PosterFigures(45.57, 53.64), ""),
)


def poster_capacities() -> list[Capacity]:
    """The poster's capacity table, counted anew: motion estimators, their ablations, and the image generator."""
    measured = functools.cache(lambda variant: config_capacities(taichi256.get_config(variant)))
    capacities = []
    for network, variant, names, poster, note in POSTER_LINES:
        parts = [part for part in measured(variant) if part.network in names]
        summed = {
            "parameters": sum(part.parameters for part in parts),
            "multiply_adds": sum((part.multiply_adds for part in parts), MultiplyAdds()),
        }
        capacities.append(replace(parts[0], network=network, poster=poster, note=note, **summed))
    return capacities


def config_capacities(config: ConfigDict) -> list[Capacity]:
    """Each network of a config at its image size, with the discriminator if it has one.

    Raises:
      UserError: the config's values do not fit together.
    """
    validate_config(config, need_data=False)
    return [
        Capacity(
            network=network,
            config=config.name,
            image_size=config.model.image_size,
            parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameters)),
            multiply_adds=count_multiply_adds(function, variables, *inputs),
        )
        for network, parameters, function, variables, inputs in _networks(config)
    ]


def _networks(config: ConfigDict) -> Iterator[tuple[str, Any, Callable, Any, tuple]]:
    """Name, parameters, function of variables and inputs, variables and inputs of each network, all as shapes."""
    model, variables = create_animation_model(config), variable_shapes(config)
    image = jax.ShapeDtypeStruct((1, config.model.image_size, config.model.image_size, 3), np.float32)

    def method(function: Callable) -> Callable:
        return functools.partial(model.apply, method=function)

    motion = jax.eval_shape(method(AnimationModel.estimate), variables, image)
    background = jax.eval_shape(method(AnimationModel.background), variables, image, image)
    dense = jax.eval_shape(method(_dense_motion), variables, image, motion, background)
    calls = {
        "motion_estimator": (AnimationModel.estimate, (image,)),
        "dense_motion": (_dense_motion, (image, motion, background)),
        "generator": (_generator, (image, dense)),
        "background_predictor": (AnimationModel.background, (image, image)),
        "disentangler": (AnimationModel.disentangle, (motion, motion)),
    }
    for part, (function, inputs) in calls.items():
        if part in variables["params"]:
            yield part.replace("_", " "), variables["params"][part], method(function), variables, inputs
    if config.discriminator.enabled:
        discriminator = create_discriminator(config)
        variables = jax.eval_shape(discriminator.init, jax.random.key(0), image, motion.keypoints)
        yield "discriminator", variables["params"], discriminator.apply, variables, (image, motion.keypoints)


def _dense_motion(
    model: AnimationModel, source: jax.Array, motion: Motion, background: jax.Array | None
) -> DenseMotion:
    return model.dense_motion(source, motion, motion, background)


def _generator(model: AnimationModel, source: jax.Array, dense: DenseMotion) -> jax.Array:
    return model.generator.decode(source, model.encode(source), dense)
