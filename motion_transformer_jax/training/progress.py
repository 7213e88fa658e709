"""What a user sees of a running training, and how it is stopped from outside."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping

import jax
from jax.experimental import multihost_utils
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

logger = logging.getLogger(__name__)

STEPS_IN_FLIGHT = 2


def say(message: str, *values) -> None:
    """Log once, however many processes there are."""
    if jax.process_index() == 0:
        logger.info(message, *values)


class Progress:
    """A progress bar on a terminal, else a line at every log; measures the speed of the training steps alone."""

    def __init__(self, *, step: int, total_steps: int, batch_size: int):
        self._step, self._total, self._batch_size = step, total_steps, batch_size
        self._in_flight: deque[jax.Array] = deque()
        self._seconds, self._counted = 0.0, 0
        self._clock: float | None = None
        self._stack = contextlib.ExitStack()
        self._bar = None
        if sys.stderr.isatty() and jax.process_index() == 0:
            self._stack.enter_context(logging_redirect_tqdm())
            bar = tqdm(initial=step, total=total_steps, unit="step", dynamic_ncols=True, smoothing=0.1)
            self._bar = self._stack.enter_context(bar)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def advance(self, result: jax.Array) -> None:
        """Count a step that was started.

        Waits for an earlier one, so that the host neither runs ahead of the devices by more than a few batches nor
        ever leaves them idle.

        Args:
          result: any array of this step.
        """
        self._step += 1
        self._in_flight.append(result)
        if self._clock is None:  # The first step warms up; the clock starts behind it.
            jax.block_until_ready(result)
            self._clock = time.monotonic()
        else:
            self._counted += 1
        if len(self._in_flight) > STEPS_IN_FLIGHT:
            jax.block_until_ready(self._in_flight.popleft())
        if self._bar is not None:
            self._bar.update()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leave what happens inside (validation, saving) out of the speed."""
        self._stop_clock()
        yield
        self._clock = time.monotonic()

    def show(self, metrics: Mapping[str, float]) -> float | None:
        """Show a log's metrics; returns the pairs/s of all devices since the last one, None when unknown."""
        self._stop_clock()
        speed = self._batch_size * self._counted / self._seconds if self._counted and self._seconds else None
        loss = metrics.get("train/loss/total", float("nan"))
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4g}" + (f", {speed:.1f} pairs/s" if speed else ""))
        elif jax.process_index() == 0:
            left = "" if speed is None else f", {speed:.1f} pairs/s, {self._time_left(speed)} left"
            logger.info("step %d/%d: loss %.4g%s", self._step, self._total, loss, left)
        self._seconds, self._counted = 0.0, 0
        self._clock = time.monotonic()
        return speed

    def _stop_clock(self) -> None:
        if self._in_flight:
            jax.block_until_ready(self._in_flight[-1])
        if self._clock is not None:
            self._seconds += time.monotonic() - self._clock

    def _time_left(self, speed: float) -> str:
        return tqdm.format_interval((self._total - self._step) * self._batch_size / speed)


class RunStopped(SystemExit):
    """SIGTERM ended a training, and all is saved. Status 143, for those to whom an unfinished training is a failure."""

    def __init__(self):
        super().__init__(128 + signal.SIGTERM)


class StopSignals:
    """Turns Ctrl-C and SIGTERM into a request to stop after the current step; a second Ctrl-C interrupts at once.

    A run of several processes stops when one of them gets SIGTERM, which Cloud TPU and clusters send before they take a
    machine back: JAX tells the others, and all stop after the same step.
    """

    def __init__(self):
        self._received: signal.Signals | None = None
        self._shared = jax.distributed.is_initialized()
        self._previous = {}

    def __enter__(self):
        # Python delivers signals to the main thread alone, and lets it alone set handlers.
        if threading.current_thread() is threading.main_thread():
            # In a run of several processes SIGTERM has JAX's handler.
            numbers = (signal.SIGINT,) if self._shared else (signal.SIGINT, signal.SIGTERM)
            self._previous = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number)
        logger.info("%s: finishing the step and saving", self._received.name)
        if self._shared:
            os.kill(os.getpid(), signal.SIGTERM)

    def requested(self, step: int) -> bool:
        """Whether to save and stop now; to be asked once after each step, by all processes."""
        if self._shared:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._received is not None

    def raise_received(self) -> None:
        """End the process as the signal asks: KeyboardInterrupt for Ctrl-C, else RunStopped."""
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        raise RunStopped
