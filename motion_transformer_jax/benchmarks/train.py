"""Speed of the training step with all of the config's losses, alone or beside the official code.

The batch lies on the devices and the weights are random, those of the VGG19 too. Our step augments, which the official
code leaves to its loader, and that is not timed. The official step ends with its losses on the host, for its logger.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from motion_transformer_jax.benchmarks.compile_clock import CompileClock
from motion_transformer_jax.benchmarks.machine import check_devices
from motion_transformer_jax.benchmarks.memory import peak_mib
from motion_transformer_jax.benchmarks.official import Peer, official_peer, prepare_peer
from motion_transformer_jax.benchmarks.random_weights import draw_variables, random_variables
from motion_transformer_jax.benchmarks.speed import Rate, Side, Speed, measure_in_turn, profiled
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.multiply_adds import count_multiply_adds
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.parallel import abstract, create_mesh, replicate, shard_batch
from motion_transformer_jax.training.state import TrainState, create_train_state, with_fresh_average
from motion_transformer_jax.training.step import create_train_step, used_tap_weights


class Trainer:
    """A training step, its state and its batch: compiled, then started, then run.

    Attributes:
      mesh: the devices.
    """

    def __init__(self, config: ConfigDict, batch: dict[str, np.ndarray], num_devices: int, *, named: bool = False):
        """Makes all but what is compiled.

        Args:
          config: an experiment's.
          batch: {"source", "driving"}, uint8 [B, S, S, 3], for all devices together.
          num_devices: the first ones.
          named: whether the step's operations have names in profiles.
        """
        self._named = named
        self.mesh: Mesh = create_mesh(jax.devices()[:num_devices])
        self._num_pairs = len(batch["source"])
        self._config = config
        self._optimizer = create_configured_optimizer(config, milestone_steps=())
        self._expected = abstract(lambda: create_train_state(config, self._optimizer), self.mesh)
        self._vgg = replicate(random_vgg19(config.seed, num_taps=len(used_tap_weights(config))), self.mesh)
        self._placed = shard_batch(batch, self.mesh)
        self._step = self._create_step(self._vgg)
        self._state = None

    def compile(self) -> None:
        """Compiles the step; to be called first."""
        self._step.compile(self._expected, self._placed)

    def start(self) -> None:
        """Draws the weights, after `compile`: as in training, they use memory again that compiling has left."""
        shapes = {"params": self._expected.params, "batch_stats": self._expected.batch_stats}
        self._state = replicate(self._create_state(draw_variables(shapes)), self.mesh)

    def run(self, steps: int) -> None:
        """Takes so many steps and waits for the last."""
        for _ in range(steps):
            self._state, metrics = self._step(self._state, self._placed)
        jax.block_until_ready((self._state, metrics))

    def multiply_adds(self) -> int:
        """Of one pair, forward and backward."""

        def step(learned: tuple, batch: dict) -> Any:
            state, vgg = learned
            return self._create_step(vgg)(state, batch)

        counted = count_multiply_adds(step, (self._state, self._vgg), self._placed)  # of one device
        return (counted.layers + counted.activations) * self.mesh.size // self._num_pairs

    def _create_step(self, vgg: dict) -> Callable:
        return create_train_step(self._config, self._optimizer, self.mesh, vgg, named=self._named)

    def _create_state(self, variables: dict) -> TrainState:
        variables = jax.tree.map(jnp.asarray, variables)
        opt_state = self._optimizer.init(variables["params"])
        state = TrainState(step=jnp.zeros((), jnp.int32), **variables, opt_state=opt_state)
        return with_fresh_average(state) if self._config.optimizer.ema_decay > 0 else state


def measure_training(
    config: ConfigDict,
    *,
    batch_size: int,
    repeats: int,
    steps: int | None = None,
    num_devices: int = 1,
    peer: Peer | None = None,
    profile: str | None = None,
) -> Speed:
    """Times training steps, and what they take of time, memory and arithmetic.

    Args:
      config: an experiment's; changed: the batch size, and the VGG's weights to random ones.
      batch_size: pairs over all devices.
      repeats: timed stretches.
      steps: in a stretch; None: 1 on CPU, 10 on an accelerator.
      num_devices: the first ones, which share the batch.
      peer: the official PyTorch code, which trains from the same weights on the same batch in turn.
      profile: folder for a trace of one more stretch.

    Raises:
      UserError: the config's values do not fit together, there are fewer devices, or the peer cannot be used.
    """
    prepare_peer(config, peer)
    check_trainable(config, batch_size=batch_size, num_devices=num_devices)
    steps = steps or (1 if jax.default_backend() == "cpu" else 10)
    batch = create_batch(config)
    # The peer first, as it needs our weights for a moment, and the room for them is used again.
    with official_peer(config, peer, random_variables(config), batch) as official:
        trainer = Trainer(config, batch, num_devices, named=profile is not None)
        return _measure(config, trainer, repeats, steps, official, profile)


def check_trainable(config: ConfigDict, *, batch_size: int, num_devices: int = 1) -> None:
    """Sets the batch size and the VGG's random weights, and raises a UserError where that cannot be trained."""
    check_devices(num_devices)
    if config.train.objective != "reconstruction":
        raise UserError(
            f"config {config.name} trains the disentangler alone, which is not measured; "
            "pass --config.train.objective=reconstruction or another variant"
        )
    config.train.batch_size = batch_size
    config.perceptual.weights = "random"
    validate_config(config, device_count=num_devices, need_data=False)


def create_batch(config: ConfigDict) -> dict[str, np.ndarray]:
    """Pairs of a puppet's frames, one puppet for each."""
    count = config.train.batch_size
    options = {"num_identities": count, "clips_per_identity": 1, "size": config.model.image_size}
    puppets = PuppetVideos(split="train", num_frames=16, **options)
    times = {"source": 0, "driving": 15}
    return {name: np.stack([puppets.frame(index, t) for index in range(count)]) for name, t in times.items()}


def _measure(
    config: ConfigDict, trainer: Trainer, repeats: int, steps: int, official: Callable | None, profile: str | None
) -> Speed:
    clock = CompileClock()
    with clock.timed():
        trainer.compile()
    trainer.start()
    trainer.run(1)  # to warm up
    ours = functools.partial(trainer.run, steps)
    peers = official and functools.partial(official, "run", steps)
    measured = measure_in_turn(ours, peers, dtype=config.dtype, repeats=repeats)
    devices, pairs = list(trainer.mesh.devices.flat), steps * config.train.batch_size
    # Before the multiply-adds are counted, which takes memory that training does not.
    ours_side = Side(Rate.of(measured.ours, pairs), peak_mib(devices))
    peer_side = measured.peer and Side(Rate.of(measured.peer, pairs), official("peak_memory_mib"))
    return Speed(
        unit="pairs",
        config=config.name,
        image_size=config.model.image_size,
        batch_size=config.train.batch_size,
        dtype=config.dtype,
        num_devices=len(devices),
        device_kind=devices[0].device_kind,
        ours=ours_side,
        compilation=clock.compilation,
        stages={"step": measured.ours.median / steps},
        multiply_adds=trainer.multiply_adds(),
        matrix_product_rate=measured.matrix_product_rate,
        peer=peer_side,
        profile=profiled(ours, profile),
    )
