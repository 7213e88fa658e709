"""How long it takes until the programs run: traced, lowered and compiled, or loaded from the persistent cache.

Each start is a process of its own. The first finds an empty cache and fills it, which is in its seconds of compiling;
the second finds what the first left.
"""

import dataclasses
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.benchmarks.compile_clock import Compilation, CompileClock
from motion_transformer_jax.benchmarks.random_weights import random_variables
from motion_transformer_jax.benchmarks.train import Trainer, check_trainable, create_batch
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.training.state import without_discriminator


@dataclasses.dataclass(frozen=True)
class Start:
    """One start.

    Attributes:
      name: of the programs.
      cached: whether an earlier start had filled the cache.
      compilation: seconds of making them.
      first_call_secs: until the first result, these and the computation included; libraries loaded before, and the
        animation's weights made, where training makes them between compiling and its first step.
    """

    name: str
    cached: bool
    compilation: Compilation
    first_call_secs: float


def measure_starts(config: ConfigDict, *, batch_size: int) -> list[Start]:
    """Starts the animation and the training step on one device, with an empty cache and with a filled one.

    Args:
      config: an experiment's.
      batch_size: pairs of the training step; the animation has the Animator's default.

    Raises:
      UserError: the config's values do not fit together.
    """
    check_trainable(config, batch_size=batch_size)
    starts = []
    for name in _PROGRAMS:
        with tempfile.TemporaryDirectory() as cache:
            for cached in (False, True):
                compilation, seconds = _in_process(name, config, cache)
                starts.append(Start(name, cached, compilation, seconds))
    return starts


def _in_process(name: str, config: ConfigDict, cache: str) -> tuple[Compilation, float]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, name, config, cache), daemon=True)
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"the process that starts the {name} failed; its traceback stands above") from None
    finally:
        process.terminate()  # it may have been interrupted
        process.join()


def _run(sender: Connection, name: str, config: ConfigDict, cache: str) -> None:
    keep_freed_memory()  # as the commands do
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    call = _PROGRAMS[name](config)
    clock, start = CompileClock(), time.perf_counter()
    with clock.timed():
        call()
    sender.send((clock.compilation, time.perf_counter() - start))


def _animation(config: ConfigDict) -> Callable[[], object]:
    animator = Animator(config, without_discriminator(random_variables(config)))
    frame = np.zeros((config.model.image_size, config.model.image_size, 3), np.uint8)
    return lambda: list(animator.animate(frame, [frame] * animator.batch_size))


def _training_step(config: ConfigDict) -> Callable[[], object]:
    trainer = Trainer(config, create_batch(config), 1)

    def first_step() -> None:
        trainer.compile()
        trainer.start()
        trainer.run(1)

    return first_step


_PROGRAMS = {"animation": _animation, "training step": _training_step}
