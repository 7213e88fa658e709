"""The whole model: motion estimator, dense motion, warping generator and, where configured, background predictor."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from motion_transformer_jax.models.background import BackgroundPredictor
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.dense_motion import DenseMotion, DenseMotionNetwork
from motion_transformer_jax.models.discriminator import Discriminator
from motion_transformer_jax.models.disentangler import Disentangler
from motion_transformer_jax.models.generator import Generator
from motion_transformer_jax.models.keypoint_detector import KeypointDetector
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.models.motion_transformer import MotionTransformer
from motion_transformer_jax.models.region_predictor import RegionPredictor

ESTIMATORS = ("motion_transformer", "keypoint_detector", "region_predictor")


@flax.struct.dataclass
class Generation:
    """A generated frame and what it was made of.

    Attributes:
        prediction: [B, H, W, 3] in [0, 1].
        deformed: [B, H, W, 3], the source image warped by the deformation alone.
        dense: the flow field, masks and occlusion behind it.
        source_motion, driving_motion: the two motions.
    """

    prediction: jax.Array
    deformed: jax.Array
    dense: DenseMotion
    source_motion: Motion
    driving_motion: Motion


class AnimationModel(nn.Module):
    """Animates a source image by a driving frame's motion.

    Attributes:
        motion_estimator: image [B, H, W, 3] to its Motion.
        dense_motion: two motions to a flow field.
        generator: encoder and decoder.
        background_predictor: the background's motion, or None.
        disentangler: gives a driving pose to the source figure's shape, or None.
    """

    motion_estimator: nn.Module
    dense_motion: DenseMotionNetwork
    generator: Generator
    background_predictor: BackgroundPredictor | None = None
    disentangler: Disentangler | None = None

    def estimate(self, image: jax.Array) -> Motion:
        """Image [B, H, W, 3] in [0, 1] to its motion."""
        return self.motion_estimator(image)

    def background(self, source: jax.Array, driving: jax.Array) -> jax.Array | None:
        """The background's motion from driving to source, [B, 3, 3]; None without a predictor."""
        return None if self.background_predictor is None else self.background_predictor(source, driving)

    def disentangle(self, source_motion: Motion, driving_motion: Motion) -> Motion:
        """The source figure's motion in the driving pose; needs a disentangler."""
        return self.disentangler(source_motion, driving_motion)

    def encode(self, source: jax.Array) -> tuple[jax.Array, ...]:
        """Source image [B, H, W, 3] to the generator's features; needed once for a whole video."""
        return self.generator.encode(source)

    def generate(
        self,
        source: jax.Array,
        features: tuple[jax.Array, ...],
        source_motion: Motion,
        driving_motion: Motion,
        background: jax.Array | None = None,
    ) -> Generation:
        """The source, moved from its own motion to the driving motion.

        The source's image, features and motion may have a batch of 1: one source for all driving motions.
        """
        dense = self.dense_motion(source, source_motion, driving_motion, background)
        prediction = self.generator.decode(source, features, dense)
        return Generation(
            prediction, self.generator.warp(source, dense.deformation), dense, source_motion, driving_motion
        )

    def render(
        self, source: jax.Array, driving: jax.Array, source_motion: Motion, driving_motion: Motion
    ) -> Generation:
        """`generate` from images and motions: the source's features and the background's motion are computed here."""
        background = self.background(source, driving)
        return self.generate(source, self.encode(source), source_motion, driving_motion, background)

    def __call__(self, source: jax.Array, driving: jax.Array) -> Generation:
        """Reconstructs the driving frame from the source frame, both [B, H, W, 3] in [0, 1]."""
        source_motion = self.estimate(source)
        # One estimate makes all parameters; tracing another one would take as long again.
        driving_motion = source_motion if self.is_initializing() else self.estimate(driving)
        if self.is_initializing() and self.disentangler is not None:
            self.disentangle(source_motion, driving_motion)
        return self.render(source, driving, source_motion, driving_motion)


def create_animation_model(
    config: ConfigDict, *, train: bool = False, axis_name: str | None = None, estimated_batches: int = 1
) -> AnimationModel:
    """The model that a config describes.

    Args:
        config: an experiment's config.
        train: normalise by batch statistics and update the running ones (make `batch_stats` mutable).
        axis_name: mapped axis over which training batches are spread.
        estimated_batches: batches, one behind the other, that `estimate` takes in training, see `BatchNorm`.
    """
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    layers = Layers(dtype, train, axis_name)
    sampling = {"align_corners": config.model.align_corners}
    affines = {"revert_axis_swap": config.model.revert_axis_swap}
    has_background = config.background.kind != "none"
    return AnimationModel(
        motion_estimator=_create_motion_estimator(
            config, Layers(dtype, train, axis_name, num_batches=estimated_batches)
        ),
        dense_motion=DenseMotionNetwork(**config.dense_motion, **affines, **sampling, layers=layers),
        generator=Generator(**config.generator, **sampling, layers=layers),
        background_predictor=BackgroundPredictor(**config.background, layers=layers) if has_background else None,
        disentangler=_create_disentangler(config, layers) if config.disentangler.enabled else None,
    )


def _create_motion_estimator(config: ConfigDict, layers: Layers) -> nn.Module:
    num_keypoints = config.model.num_keypoints
    match config.model.estimator:
        case "keypoint_detector":
            return KeypointDetector(num_keypoints=num_keypoints, **config.keypoint_detector, layers=layers)
        case "region_predictor":
            return RegionPredictor(num_keypoints=num_keypoints, **config.region_predictor, layers=layers)
    return MotionTransformer(num_keypoints=num_keypoints, **config.transformer, layers=layers)


def _create_disentangler(config: ConfigDict, layers: Layers) -> Disentangler:
    fields = {name: value for name, value in config.disentangler.items() if name != "enabled"}
    return Disentangler(
        num_keypoints=config.model.num_keypoints,
        revert_axis_swap=config.model.revert_axis_swap,
        **fields,
        layers=layers,
    )


def create_discriminator(config: ConfigDict, *, train: bool = False) -> Discriminator:
    """The discriminator that a config describes; `train` lets its spectral norms follow the kernels."""
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    fields = {name: value for name, value in config.discriminator.items() if name != "enabled"}
    return Discriminator(**fields, layers=Layers(dtype, train))
