"""The bar, the speed, and stopping from outside."""

import logging
import os
import signal
import sys
import threading

import jax.numpy as jnp
import pytest

from motion_transformer_jax.training import progress as module
from motion_transformer_jax.training.progress import Progress, RunStopped, StopSignals


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def test_speed_leaves_out_compilation_and_pauses(monkeypatch):
    clock = Clock(monkeypatch)
    with Progress(step=0, total_steps=10, batch_size=8) as progress:
        clock.now += 1000  # compilation
        progress.advance(jnp.zeros(()))
        for _ in range(4):
            clock.now += 2
            progress.advance(jnp.zeros(()))
            with progress.pause():
                clock.now += 50
        assert progress.show({"train/loss/total": 1.0}) == 4 * 8 / 8.0
        clock.now += 16
        progress.advance(jnp.zeros(()))
        assert progress.show({"train/loss/total": 1.0}) == 0.5


def test_lines_where_there_is_no_terminal(monkeypatch, caplog):
    clock = Clock(monkeypatch)
    with caplog.at_level(logging.INFO), Progress(step=90, total_steps=100, batch_size=4) as progress:
        progress.advance(jnp.zeros(()))
        clock.now += 2
        progress.advance(jnp.zeros(()))
        progress.show({"train/loss/total": 12.345678})
    assert caplog.messages == ["step 92/100: loss 12.35, 2.0 pairs/s, 00:16 left"]


def test_bar_on_a_terminal(monkeypatch, capsys, caplog):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with caplog.at_level(logging.INFO), Progress(step=3, total_steps=10, batch_size=4) as progress:
        progress.advance(jnp.zeros(()))
        progress.show({"train/loss/total": 12.345678})
    shown = capsys.readouterr().err
    assert "4/10" in shown and "loss 12.35" in shown
    assert not caplog.messages


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, RunStopped)])
def test_signals_are_kept_until_they_are_raised(number, expected):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignals() as stop:
        assert not stop.requested(1)
        os.kill(os.getpid(), number)
        assert stop.requested(2)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    with pytest.raises(expected):
        stop.raise_received()


def test_a_second_ctrl_c_interrupts_at_once():
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested(1)
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_left_alone_outside_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    errors = []

    def use():
        try:
            with StopSignals():
                errors.append(signal.getsignal(signal.SIGTERM) != before)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert errors == [False]
