"""The training loop: the only place of training that writes files and prints.

WORKDIR/config.json, parameters.txt, metrics.jsonl, samples/STEP.png, checkpoints/STEP/
"""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from clu import parameter_overview
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.pairs import PairBatches, PairSource, validation_pairs
from motion_transformer_jax.data.video_sources import VideoSource, create_videos
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.torch_io.vgg import load_imagenet_vgg19
from motion_transformer_jax.training.checkpoint import has_checkpoint
from motion_transformer_jax.training.checkpoint_files import CHECKPOINTS_FOLDER
from motion_transformer_jax.training.checkpoint_store import CheckpointStore
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.disentanglement import create_disentanglement_step
from motion_transformer_jax.training.durations import Durations, create_durations
from motion_transformer_jax.training.initialization import with_initial_weights
from motion_transformer_jax.training.landmark_pretraining import create_landmark_step
from motion_transformer_jax.training.metrics import MetricWindow, MetricWriter
from motion_transformer_jax.training.nonfinite import BadStep, NonFiniteGuard, dump_step
from motion_transformer_jax.training.observation import Observation
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import abstract, abstract_batch, create_mesh, replicate, shard_batch
from motion_transformer_jax.training.processes import check_agreement
from motion_transformer_jax.training.progress import Progress, StopSignals, say
from motion_transformer_jax.training.run_status import write_status
from motion_transformer_jax.training.samples import Validation
from motion_transformer_jax.training.saved_config import check_resumable, config_changes, load_config, save_config
from motion_transformer_jax.training.state import TrainState, create_train_state
from motion_transformer_jax.training.step import create_train_step, used_tap_weights
from motion_transformer_jax.training.watchdog import Watchdog
from motion_transformer_jax.training.workdir import make_workdir

logger = logging.getLogger(__name__)


def train_and_evaluate(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """Train a model, or go on where the run in `workdir` stopped, up to the config's number of steps.

    On Ctrl-C and SIGTERM the step is finished and saved, by all processes the same one. A step with NaN or infinite
    values is skipped.

    Args:
      config: an experiment's config.
      workdir: folder of the run; made if it is missing.

    Returns:
      The final state.

    Raises:
      UserError: for mistakes in the config, the data, the folder or what an earlier run left there, when
        `train.max_skipped_steps` in a row had NaN or infinite values, and when a checkpoint cannot be written.
      KeyboardInterrupt, RunStopped: after Ctrl-C or SIGTERM, when everything is saved.
    """
    validate_config(config, device_count=jax.device_count(), is_new=not has_checkpoint(workdir))
    mesh = create_mesh()
    data = _open_data(config, mesh)
    check_agreement({"configs": json.dumps(config.to_dict(), sort_keys=True), "training videos": str(data.fingerprint)})
    workdir = make_workdir(workdir)
    durations = create_durations(config, pairs_per_epoch=data.pairs_per_epoch)
    total_steps, train = durations.total_steps, config.train
    optimizer = create_configured_optimizer(config, milestone_steps=durations.milestone_steps)
    train_step = create_step(config, optimizer, mesh)
    validation = Validation(config, mesh, data.validation)

    with Watchdog(train.stall_minutes) as watchdog, CheckpointStore(workdir, keep_last=train.keep_last) as store:
        expected = abstract(lambda: create_train_state(config, optimizer), mesh)
        step, create_state, window = _resume_or_start(config, workdir, store, optimizer, mesh, data, expected)
        _announce(config, workdir, expected, mesh, step, durations)
        report = functools.partial(write_status, workdir, total_steps=total_steps)
        report("running", step=step)
        guard = NonFiniteGuard(train.max_skipped_steps)
        with (
            MetricWriter(workdir, step=step) as writer,
            Progress(step=step, total_steps=total_steps, batch_size=train.batch_size) as progress,
            StopSignals() as stop,
            contextlib.closing(data.pairs),
        ):
            observation = Observation(
                config, workdir, total_steps, writer=writer, progress=progress, validation=validation
            )
            if step < total_steps:
                train_step.compile(expected, data.batch)
            state = create_state()  # now, as compiling takes memory that it can use
            stopping = False
            while step < total_steps and not stopping:
                with jax.transfer_guard("disallow"):  # nothing crosses between host and devices unasked
                    batch = next(data.pairs)
                    state, metrics = train_step(state, batch)
                    step += 1
                    window.add(metrics)
                progress.advance(metrics["total"])
                watchdog.feed()
                bad = guard.add(step, batch, metrics) or (guard.finish() if step == total_steps else None)
                if bad is not None:
                    report("diverged", step=step)
                    raise _diverged(workdir, config, state, bad)
                measured = observation.look(step, state, window)
                stopping = stop.requested(step)  # looked at once a step: whoever stops has saved
                # The data's position is saved before the next batch is drawn.
                if observation.is_due(step, train.checkpoint_every_steps) or stopping:
                    with progress.pause():
                        position = {"pairs": data.pairs.get_state(), "videos": data.fingerprint}
                        store.save(step, state, position | {"window": window.save()}, measured)
                watchdog.feed()
    report("finished" if step >= total_steps else "stopped", step=step)
    if stopping:
        say("stopped and saved at step %d of %d; the same command goes on from here", step, total_steps)
        stop.raise_received()
    say("trained for %d steps; checkpoints in %s", step, workdir / CHECKPOINTS_FOLDER)
    return state


def _diverged(workdir: Path, config: ConfigDict, state: TrainState, bad: BadStep) -> UserError:
    """Dumps the step; returns what to tell."""
    try:
        dump = f"motrans train --replay {dump_step(workdir, config, state, bad)} takes that step again"
    except UserError as error:
        dump = f"the step is not kept: {error}"
    return UserError(
        f"{config.train.max_skipped_steps} steps in a row were not finite and skipped, up to step {bad.step}: "
        f"{bad.diagnosis()}; lower optimizer.learning_rate_* or use dtype float32 and go on from an earlier checkpoint "
        f"({dump})"
    )


def create_step(config: ConfigDict, optimizer: Any, mesh: Mesh) -> Callable:
    """The update that `train.objective` names."""
    if config.train.objective == "disentanglement":
        return create_disentanglement_step(config, optimizer, mesh)
    if config.train.objective == "landmarks":
        return create_landmark_step(config, optimizer, mesh)
    return create_train_step(config, optimizer, mesh, replicate(load_vgg19(config), mesh))


def load_vgg19(config: ConfigDict) -> dict:
    """Parameters of the VGG19 that the perceptual loss uses, up to its last weighted layer.

    Raises:
      UserError: as `load_imagenet_vgg19`.
    """
    num_taps = len(used_tap_weights(config))
    if config.perceptual.weights == "random":
        return random_vgg19(0, num_taps=num_taps)
    return load_imagenet_vgg19(config.perceptual.path, num_taps=num_taps)


@dataclasses.dataclass
class _Data:
    pairs: PairBatches
    pairs_per_epoch: int
    fingerprint: int  # of the training videos' names and lengths: the data's position means nothing among others
    batch: Mapping[str, jax.ShapeDtypeStruct]  # of all processes
    validation: list[Mapping[str, np.ndarray]]


def _open_data(config: ConfigDict, mesh: Mesh) -> _Data:
    """This process's share of the training pairs, and of the fixed pairs for validation."""
    data, train = config.data, config.train
    shard = (jax.process_index(), jax.process_count())
    local_batch = train.batch_size // jax.process_count()
    videos = {
        split: create_videos(
            split,
            kind=data.kind,
            image_size=config.model.image_size,
            seed=config.seed,
            folder=data.folder,
            puppet_identities=data.puppet_identities,
            puppet_clips=data.puppet_clips,
            puppet_frames=data.puppet_frames,
            puppet_markers=data.puppet_markers,
        )
        for split in ("train", "test")
    }
    joints = config.loss.landmark_guidance > 0
    source = PairSource(
        videos["train"],
        repeats=data.repeats,
        by_identity=data.by_identity,
        joints=joints,
        seed=config.seed,
    )
    return _Data(
        pairs=PairBatches(
            source,
            batch_size=local_batch,
            seed=config.seed,
            worker_count=data.worker_count,
            shard=shard,
            transfer=functools.partial(shard_batch, mesh=mesh),
        ),
        pairs_per_epoch=len(source),
        batch=abstract_batch(source[0], train.batch_size, mesh),
        fingerprint=_fingerprint(videos["train"]),
        validation=validation_pairs(
            videos["test"],
            num_pairs=train.validation_pairs,
            batch_size=local_batch,
            joints=joints,
            seed=config.seed,
            shard=shard,
        ),
    )


def _fingerprint(videos: VideoSource) -> int:
    listing = [(name, videos.num_frames(index)) for index, name in enumerate(videos.names)]
    return zlib.crc32(repr(listing).encode())


def _resume_or_start(
    config: ConfigDict,
    workdir: Path,
    store: CheckpointStore,
    optimizer: Any,
    mesh: Mesh,
    data: _Data,
    expected: TrainState,
) -> tuple[int, Callable[[], TrainState], MetricWindow]:
    """(finished steps, what gives the state, metrics not yet logged): of the newest checkpoint, else of a new model.

    What is read is read at once, so that mistakes are told of before minutes of compiling.
    """
    if store.latest_step is None:

        @functools.cache
        def create_state() -> TrainState:
            return replicate(with_initial_weights(config, create_train_state(config, optimizer)), mesh)

        if config.train.init_from or config.train.backbone_path:
            create_state()
        _write_config(workdir, config)
        return 0, create_state, MetricWindow()
    saved_config = load_config(workdir)
    check_resumable(workdir, saved_config, config)
    for name, (old, new) in config_changes(saved_config, config).items():
        say("%s is %r from here on; it was %r", name, new, old)
    step, state, progress = store.restore_latest(expected)
    if progress["videos"] != data.fingerprint:
        raise UserError(
            f"{workdir} was trained on other videos (names or lengths differ); restore them, or start in another folder"
        )
    data.pairs.set_state(progress["pairs"])
    _write_config(workdir, config)
    return step, lambda: state, MetricWindow(progress["window"], sharding=expected.step.sharding)


def _write_config(workdir: Path, config: ConfigDict) -> None:
    if jax.process_index() == 0:
        save_config(workdir, config)


def _announce(
    config: ConfigDict, workdir: Path, state: TrainState, mesh: Mesh, step: int, durations: Durations
) -> None:
    """Tell what is about to happen, and write the table of parameters."""
    if jax.process_index():
        return
    table = workdir / "parameters.txt"
    with atomic_path(table) as temporary:
        temporary.write_text(parameter_overview.get_parameter_overview(state.params, include_stats=False) + "\n")
    counts = {part: parameter_overview.count_parameters(tree) for part, tree in sorted(state.params.items())}
    parts = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in counts.items())
    devices, batch_size = mesh.devices.size, config.train.batch_size
    say("%s on %d x %s, batch of %d", config.name, devices, mesh.devices.flat[0].device_kind, batch_size)
    say("parameters: %s; all in %s", parts, table)
    if step >= durations.total_steps:
        say("%s: all %d steps are done", workdir, durations.total_steps)
        return
    epochs = durations.total_steps / durations.steps_per_epoch
    say("%s: steps %d to %d, %.3g epochs in all", workdir, step + 1, durations.total_steps, epochs)
    if config.perceptual.weights == "random" and config.train.objective == "reconstruction":
        say("the perceptual loss uses a VGG19 with random weights (perceptual.weights)")
    say("the step is compiled first: it can take minutes")
