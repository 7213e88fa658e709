"""Speed of animation from a video to a video, alone or beside the official code.

A stretch reads a driving mp4, animates a source that was encoded before, and writes an mp4. The weights are random and
the video is a puppet's: speed does not hang on what they are.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.benchmarks.compile_clock import CompileClock
from motion_transformer_jax.benchmarks.machine import check_devices
from motion_transformer_jax.benchmarks.memory import peak_mib
from motion_transformer_jax.benchmarks.official import Peer, official_peer, prepare_peer
from motion_transformer_jax.benchmarks.random_weights import random_variables
from motion_transformer_jax.benchmarks.speed import Difference, Rate, Side, Speed, measure_in_turn, profiled
from motion_transformer_jax.benchmarks.timing import time_in_turn
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.evaluation.multiply_adds import count_multiply_adds
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.training.checkpoint import variable_shapes
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.state import without_discriminator

_FPS = 25
_MOTIONS, _FRAMES, _FILES = "motions", "motions and frames", "motions, frames and files"


@dataclasses.dataclass(frozen=True)
class _Work:
    """What both sides do.

    Attributes:
      source: uint8 [S, S, 3].
      driving: an mp4 of that size.
      num_frames: of it.
      folder: for results.
    """

    source: np.ndarray
    driving: Path
    num_frames: int
    folder: Path


def measure_animation(
    config: ConfigDict,
    *,
    num_frames: int,
    repeats: int,
    batch_size: int | None = None,
    num_devices: int = 1,
    peer: Peer | None = None,
    profile: str | None = None,
) -> Speed:
    """Times animating a video, and what it takes of time, memory and arithmetic.

    Args:
      config: an experiment's; only its model and mode matter.
      num_frames: of the driving video.
      repeats: timed stretches, each a whole video.
      batch_size: driving frames in a batch; None: the Animator's default.
      num_devices: the first ones, which share a batch, as many of them as divide it.
      peer: the official PyTorch code, which animates the same video with the same weights in turn, one
        frame at a time as it does. Its own reading and writing of videos, which differ from ours in codec and colour,
        are replaced by ours.
      profile: folder for a trace of one more stretch.

    Raises:
      UserError: the config's values do not fit together, there are fewer devices, or the peer cannot be used.
    """
    validate_config(config, need_data=False)
    prepare_peer(config, peer)
    check_devices(num_devices)
    variables = without_discriminator(random_variables(config))
    with tempfile.TemporaryDirectory() as scratch:
        work = _create_work(config, num_frames, Path(scratch))
        with official_peer(config, peer, variables, {"source": work.source}) as official:
            animator = Animator(config, variables, batch_size=batch_size, devices=jax.local_devices()[:num_devices])
            return _measure(config, animator, work, repeats, official, profile)


def _create_work(config: ConfigDict, num_frames: int, folder: Path) -> _Work:
    options = {"num_identities": 2, "clips_per_identity": 1, "size": config.model.image_size}
    puppets = PuppetVideos(split="test", num_frames=num_frames, **options)
    write_video(folder / "driving.mp4", (puppets.frame(1, t) for t in range(num_frames)), fps=_FPS)
    return _Work(puppets.frame(0, 0), folder / "driving.mp4", num_frames, folder)


def _measure(
    config: ConfigDict, animator: Animator, work: _Work, repeats: int, official: Callable | None, profile: str | None
) -> Speed:
    clock = CompileClock()
    frames = list(read_frames(work.driving))
    with clock.timed():
        source = animator.encode_source(work.source)
        result = np.stack(list(animator.animate(source, frames)))

    def ours() -> None:
        animated = animator.animate(source, read_frames(work.driving))
        write_video(work.folder / "ours.mp4", animated, fps=_FPS)

    difference = peers = None
    if official:
        difference = _difference(result, official("animated_frames", work.driving))
        peers = functools.partial(official, "animate", work.driving, work.folder / "official.mp4", _FPS)
    measured = measure_in_turn(ours, peers, dtype=config.dtype, repeats=repeats)
    stages = {
        _MOTIONS: lambda: list(animator.estimate_motions(frames)),
        _FRAMES: lambda: list(animator.animate(source, frames)),
    }
    times = time_in_turn(stages, repeats=repeats, warm_up=1) | {_FILES: measured.ours}
    devices = jax.local_devices()[: animator.num_devices]
    return Speed(
        unit="frames",
        config=config.name,
        image_size=animator.image_size,
        batch_size=animator.batch_size,
        dtype=config.dtype,
        num_devices=len(devices),
        device_kind=devices[0].device_kind,
        ours=Side(Rate.of(measured.ours, work.num_frames), peak_mib(devices)),
        compilation=clock.compilation,
        stages={name: timing.median / work.num_frames for name, timing in times.items()},
        multiply_adds=animation_multiply_adds(config),
        matrix_product_rate=measured.matrix_product_rate,
        peer=measured.peer and Side(Rate.of(measured.peer, work.num_frames), official("peak_memory_mib")),
        difference=difference,
        profile=profiled(ours, profile),
    )


def _difference(ours: np.ndarray, peers: np.ndarray) -> Difference:
    distance = np.abs(ours.astype(np.int16) - peers)
    return Difference(int(distance.max()), float(distance.mean()))


def animation_multiply_adds(config: ConfigDict) -> int:
    """Of one frame: its motion estimated, dense motion, and the decoder; the source is encoded once and not counted."""
    model, variables = create_animation_model(config), variable_shapes(config)
    image = jax.ShapeDtypeStruct((1, config.model.image_size, config.model.image_size, 3), np.float32)
    estimate, encode, generate = (
        functools.partial(model.apply, method=name) for name in ("estimate", "encode", "generate")
    )
    motion, features = jax.eval_shape(estimate, variables, image), jax.eval_shape(encode, variables, image)
    counted = count_multiply_adds(estimate, variables, image)
    counted += count_multiply_adds(generate, variables, image, features, motion, motion)
    return counted.layers + counted.activations
