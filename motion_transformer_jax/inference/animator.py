"""The animation engine: the source is encoded once, driving frames stream through the model in batches.

All shapes that reach the compiler are fixed by the config and the batch size, so that everything is compiled once,
whatever the length of the video. A batch is spread over the devices, and while they work on it, the host reads the
next.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict
from PIL import Image

from motion_transformer_jax.data.image import image_array, resize_image
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.animated_frame import AnimatedFrame, DrivingFrame, SourceState
from motion_transformer_jax.inference.batching import default_batch_size, in_order, pad_batch, split_batches
from motion_transformer_jax.inference.retarget import (
    Mode,
    check_mode,
    check_motion,
    movement_scale,
    nearest_frame,
    no_driving_frames,
    retarget,
)
from motion_transformer_jax.inference.smoothing import smoothed
from motion_transformer_jax.models.animation_model import AnimationModel, create_animation_model
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops.backend import jit_program
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.parallel import DATA_AXIS, create_mesh, replicate

Picture = np.ndarray | Image.Image
Frames = Iterable[Picture] | Callable[[], Iterable[Picture]]


class Animator:
    """Animates source images by driving videos with one trained model.

    Frames are uint8 [H, W, 3] of any size, or Pillow's images; those of another size than the model's are cropped to a
    square and resized, as `resize_image` does. Where a method takes *frames*, it takes anything that can be iterated,
    or a callable that opens the video anew at each call, such as `lambda: read_frames(path)`: memory then does not grow
    with its length.

    Attributes:
        image_size: S, side of the model's images in pixels.
        batch_size: Driving frames in a batch; with 1, as live pictures want it, each frame's result comes before the
            next frame is drawn, else after the next batch was started.
        num_devices: How many of the devices share a batch: as many as divide it.
        mode, adapt_scale: How motion is carried over where a call does not say.
        has_disentangler: Whether the model knows the mode "avd".
    """

    def __init__(
        self,
        config: ConfigDict,
        variables: Any,
        *,
        batch_size: int | None = None,
        devices: Sequence[jax.Device] | None = None,
    ):
        """Prepares; nothing is compiled before it is used.

        Args:
            config: The config that the model was trained with.
            variables: {"params": ..., "batch_stats": ...}.
            batch_size: Driving frames in a batch, over all devices; None: 4 on CPU, 16 for each accelerator.
            devices: What may be used; None: all of this process.
        """
        devices = list(devices or jax.local_devices())
        self.image_size: int = config.model.image_size
        self.batch_size = batch_size or default_batch_size(len(devices))
        self.num_devices = math.gcd(self.batch_size, len(devices))
        self._ahead = 0 if self.batch_size == 1 else 1
        self.mode: Mode = config.animate.mode
        self.adapt_scale: bool = config.animate.adapt_scale
        self.has_disentangler: bool = config.disentangler.enabled
        model = create_animation_model(config)
        mesh = create_mesh(devices[: self.num_devices])
        variables = replicate(variables, mesh)
        self._estimate = partial(_estimate_spread, model, mesh, variables)
        self._encode = partial(encode, model, variables)
        self._retarget = partial(_retarget, model, variables)
        self._generate = partial(_generate_spread, model, mesh, variables)

    @classmethod
    def load(
        cls, folder: str | os.PathLike, *, step: int | str | None = None, batch_size: int | None = None
    ) -> "Animator":
        """The engine of a training run's checkpoint.

        Args:
            folder: The run's folder (train's --workdir).
            step: A step's number; "best", the one with the lowest validation L1; None, the newest.
            batch_size: As in the constructor.

        Raises:
            UserError: The folder is missing, empty, half-written, from another config, or lacks the step.
        """
        config, variables = load_variables(folder, step=step)
        return cls(config, variables, batch_size=batch_size)

    def choose_mode(self, mode: Mode | None) -> Mode:
        """The mode that is asked for, or `self.mode`; raises as `check_mode` if the model cannot do it."""
        mode = mode or self.mode
        check_mode(mode, has_disentangler=self.has_disentangler)
        return mode

    def encode_source(self, source: Picture) -> SourceState:
        """Encodes a source image; the result serves any number of videos."""
        image = self._fit(source)
        motion = jax.tree.map(lambda x: x[:1], self._estimate(self._pad([image])))
        return self._encode(image[None], motion)

    def track(self, frames: Frames) -> Iterator[DrivingFrame]:
        """Streams the driving frames at the model's size, each with its motion."""
        started = ((batch, self._estimate(self._pad(batch))) for batch in self._batches(frames))
        for image, motion in in_order(started, ahead=self._ahead):
            yield DrivingFrame(motion, image)

    def estimate_motions(self, frames: Frames) -> Iterator[Motion]:
        """Streams each frame's Motion, [1, K, 2], on the host."""
        return (driving.motion for driving in self.track(frames))

    def animate(
        self,
        source: Picture | SourceState,
        frames: Frames,
        *,
        mode: Mode | None = None,
        adapt_scale: bool | None = None,
        best_frame: int | Literal["auto"] = 0,
        multiply: float = 1.0,
        smooth_fps: float | None = None,
    ) -> Iterator[np.ndarray]:
        """Streams the result, uint8 [S, S, 3]; see `animate_with_details`."""
        details = self.animate_with_details(
            source,
            frames,
            mode=mode,
            adapt_scale=adapt_scale,
            best_frame=best_frame,
            multiply=multiply,
            smooth_fps=smooth_fps,
        )
        return (frame.image for frame in details)

    def animate_with_details(
        self,
        source: Picture | SourceState,
        frames: Frames,
        *,
        mode: Mode | None = None,
        adapt_scale: bool | None = None,
        best_frame: int | Literal["auto"] = 0,
        multiply: float = 1.0,
        smooth_fps: float | None = None,
    ) -> Iterator[AnimatedFrame]:
        """Streams the result with the motions and masks behind it, one frame for each driving frame, in their order.

        The source and the frame that relative motion is measured against are looked at by the call itself, all else as
        the frames are drawn.

        Args:
            source: An image, or what `encode_source` gave.
            frames: The driving video. With another `best_frame` than 0 it is read twice: a list
                or a callable.
            mode: "relative": the source's motion plus the driving change since one driving frame; "absolute": the
                driving motion; "avd": the driving pose in the source's shape, by the disentangler. None: `self.mode`.
            adapt_scale: Scale relative motion by the figures' size. None: `self.adapt_scale`.
            best_frame: Index of the driving frame that relative motion is measured against, which should be in the
                source's pose; "auto" looks for it. The other modes do not look at it.
            multiply: Strengthens relative motion, 1 as it is; 0 to 5.
            smooth_fps: Frames per second of the driving video, to take the jitter out of its motion; None: leave it.

        Raises:
            UserError: There are no frames, or none with that index; a number is out of its range; the model has no
                disentangler for "avd".
            TypeError: The source or a frame is no image.
            ValueError: Another mode; a frame is not uint8 [H, W, 3]; `frames` cannot be read twice but must be.
        """
        mode = self.choose_mode(mode)
        check_motion(best_frame=best_frame, multiply=multiply, smooth_fps=smooth_fps)
        source = self._source_state(source)
        options = {"mode": mode, "adapt_scale": adapt_scale, "multiply": multiply}
        # Other motion than relative does not depend on the initial frame, whichever it is.
        if best_frame == 0 or mode != "relative":
            driving = self._follow(self._checked(frames), smooth_fps)
            return self._animate_from_first(source, driving, **options)
        initial = self._initial_motion(source, frames, best_frame, smooth_fps)
        return self.animate_tracked(source, self._follow(frames, smooth_fps), initial, **options)

    def animate_tracked(
        self,
        source: SourceState,
        driving: Iterable[DrivingFrame],
        initial: Motion,
        *,
        mode: Mode | None = None,
        adapt_scale: bool | None = None,
        multiply: float = 1.0,
    ) -> Iterator[AnimatedFrame]:
        """Streams the result of driving frames whose motions are known: from `track`, and smoothed perhaps.

        Args:
            source: What `encode_source` gave.
            driving: In order of time.
            initial: Motion of the frame that relative motion is measured against, [1, K, 2], on the host.
            mode, adapt_scale, multiply: As `animate_with_details` takes them.

        Raises:
            UserError: `multiply` is out of its range; the model has no disentangler for "avd".
            ValueError: Another mode.
        """
        check_motion(multiply=multiply)
        mode, scale = self.choose_mode(mode), 1.0
        if mode == "relative" and (self.adapt_scale if adapt_scale is None else adapt_scale):
            scale = movement_scale(source.motion.keypoints[0], initial.keypoints[0])

        def start(batch: list[DrivingFrame]):
            driving_motion = self._stack([frame.motion for frame in batch])
            motion = self._retarget(source.motion, driving_motion, initial, scale, multiply, mode)
            return batch, (motion, *self._generate(source, motion))

        started = map(start, split_batches(driving, self.batch_size))
        return (
            AnimatedFrame(image[0], frame.image, frame.motion, motion, mask[0])
            for frame, (motion, image, mask) in in_order(started, ahead=self._ahead)
        )

    def _animate_from_first(
        self, source: SourceState, driving: Iterator[DrivingFrame], **options: Any
    ) -> Iterator[AnimatedFrame]:
        """`animate_tracked`, relative to the first driving frame, of which there is at least one."""
        first = next(driving)
        yield from self.animate_tracked(source, chain([first], driving), first.motion, **options)

    def _follow(self, frames: Frames, smooth_fps: float | None) -> Iterator[DrivingFrame]:
        return self.track(frames) if smooth_fps is None else smoothed(self.track(frames), smooth_fps)

    def _checked(self, frames: Frames) -> Iterator[Picture]:
        """The frames, of which the first one has been looked at."""
        stream = _open(frames)
        first = next(stream, None)
        if first is None:
            raise no_driving_frames()
        return chain([self._fit(first)], stream)

    def _initial_motion(
        self, source: SourceState, frames: Frames, best_frame: int | Literal["auto"], smooth_fps: float | None
    ) -> Motion:
        """Motion of the initial frame, [1, K, 2], of frames that can be read again."""
        stream = _open(frames)
        if stream is frames:
            raise ValueError("with a best_frame other than 0 frames are read twice; pass a list or a callable")
        if best_frame == "auto":
            motions = (driving.motion for driving in self._follow(stream, smooth_fps))
            best_frame, stream = nearest_frame(source.motion, motions), _open(frames)
        skipped = sum(1 for _ in islice(stream, best_frame))
        first = next(stream, None)
        if first is None and not skipped:
            raise no_driving_frames()
        if first is None:
            raise UserError(
                f"there is no driving frame {best_frame}; the video has {skipped}, "
                f"choose a best frame from 0 to {skipped - 1}"
            )
        if best_frame and smooth_fps is not None:  # hangs on the frames before it
            return next(islice(self._follow(frames, smooth_fps), best_frame, None)).motion
        motion = jax.tree.map(lambda x: x[:1], self._estimate(self._pad([self._fit(first)])))
        return jax.device_get(motion)

    def _source_state(self, source: Picture | SourceState) -> SourceState:
        return source if isinstance(source, SourceState) else self.encode_source(source)

    def _batches(self, frames: Frames) -> Iterator[list[np.ndarray]]:
        return split_batches(map(self._fit, _open(frames)), self.batch_size)

    def _pad(self, batch: list[np.ndarray]) -> np.ndarray:
        return pad_batch(batch, self.batch_size)

    def _stack(self, motions: list[Motion]) -> Motion:
        return jax.tree.map(lambda *leaves: self._pad([leaf[0] for leaf in leaves]), *motions)

    def _fit(self, frame: Picture) -> np.ndarray:
        frame = _as_array(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise ValueError(f"expected a frame uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}")
        size = (self.image_size, self.image_size)
        return frame if frame.shape[:2] == size else resize_image(frame, size)


def _as_array(image: Picture) -> np.ndarray:
    if isinstance(image, Image.Image):
        return image_array(image)
    if not hasattr(image, "__array__"):
        raise TypeError(
            f"expected an image, uint8 [H, W, 3] or Pillow's, got a {type(image).__name__}; read files with "
            "data.image.read_image and data.video.read_frames"
        )
    return np.asarray(image)


def _open(frames: Frames) -> Iterator[Picture]:
    if isinstance(frames, str | os.PathLike):
        raise TypeError(f"expected driving frames, got a path, {frames}; read it with data.video.read_frames")
    return iter(frames() if callable(frames) else frames)


# The model is hashable by its fields: engines of one config share what was compiled.
@partial(jit_program, static_argnums=0)
def estimate(model: AnimationModel, variables: Any, frames: jax.Array) -> Motion:
    """Motion of frames, uint8 [B, S, S, 3]."""
    return model.apply(variables, frames.astype(jnp.float32) / 255, method="estimate")


@partial(jit_program, static_argnums=(0, 1))
def _estimate_spread(model: AnimationModel, mesh: Mesh, variables: Any, frames: jax.Array) -> Motion:
    """`estimate`, the frames spread over the devices."""
    return _spread(partial(estimate, model), mesh, P())(variables, frames)


@partial(jit_program, static_argnums=0)
def encode(model: AnimationModel, variables: Any, image: jax.Array, motion: Motion) -> SourceState:
    """All that `generate` needs of a source image, uint8 [1, S, S, 3], and of its motion."""
    image = image.astype(jnp.float32) / 255
    return SourceState(image, model.apply(variables, image, method="encode"), motion)


@partial(jit_program, static_argnames=("model", "mode"))
def _retarget(
    model: AnimationModel,
    variables: Any,
    source: Motion,
    driving: Motion,
    initial: Motion,
    scale: float,
    multiply: float,
    mode: Mode,
) -> Motion:
    if mode == "avd":
        return disentangle(model, variables, source, driving)
    return retarget(source, driving, initial, mode=mode, movement_scale=scale, multiply=multiply)


def disentangle(model: AnimationModel, variables: Any, source: Motion, driving: Motion) -> Motion:
    """One source figure, [1, K, 2], in driving poses, [B, K, 2], by the model's disentangler."""
    return model.apply(variables, _repeat(source, driving.keypoints.shape[0]), driving, method="disentangle")


@partial(jit_program, static_argnums=0)
def generate(model: AnimationModel, variables: Any, source: SourceState, motion: Motion) -> tuple[jax.Array, jax.Array]:
    """Images uint8 [B, S, S, 3] and masks [B, h, w, K + 1] of one source in motions [B, K, 2]."""
    # Without a background: its predictor compares two frames of one video, as in training; source and driving video do
    # not share theirs. The official animation leaves it out too.
    generation = model.apply(variables, source.image, source.features, source.motion, motion, method="generate")
    image = jnp.round(jnp.clip(generation.prediction, 0, 1) * 255).astype(jnp.uint8)
    return image, generation.dense.mask


@partial(jit_program, static_argnums=(0, 1))
def _generate_spread(
    model: AnimationModel, mesh: Mesh, variables: Any, source: SourceState, motion: Motion
) -> tuple[jax.Array, jax.Array]:
    """`generate`, the motions spread over the devices."""
    return _spread(partial(generate, model), mesh, P(), P())(variables, source, motion)


def _spread(function: Callable, mesh: Mesh, *constants: P) -> Callable:
    """The function on every device, with a part of its last argument, a batch; of the others each has all."""
    batch = P(DATA_AXIS)
    # Nothing crosses devices, hence no checks of what is the same on all.
    return jax.shard_map(function, mesh=mesh, in_specs=(*constants, batch), out_specs=batch, check_vma=False)


def _repeat(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])), tree)
