"""Rates, spans and peaks are what their docstrings say."""

import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from motion_transformer_jax.benchmarks import compile_clock, memory, speed
from motion_transformer_jax.benchmarks.animate import animation_multiply_adds
from motion_transformer_jax.benchmarks.compile import Start
from motion_transformer_jax.benchmarks.random_weights import random_variables
from motion_transformer_jax.benchmarks.tables import speed_table, start_table
from motion_transformer_jax.benchmarks.timing import Timing
from motion_transformer_jax.evaluation.capacity import config_capacities

SIDE = speed.Side(speed.Rate(4.0, 2.0, 5.0), peak_memory_mib=300.4)
SPEED = speed.Speed(
    unit="frames",
    config="some",
    image_size=64,
    batch_size=4,
    dtype="float32",
    num_devices=2,
    device_kind="chip",
    ours=SIDE,
    compilation=compile_clock.Compilation(1.0, 2.0),
    stages={"a stage": 0.25},
    multiply_adds=3_000_000_000,
    matrix_product_rate=12e9,
    peer=speed.Side(speed.Rate(1.0, 0.5, 2.0), peak_memory_mib=100.0),
    difference=speed.Difference(largest=3, mean=0.25),
)


def test_the_lowest_rate_is_that_of_the_longest_time():
    assert speed.Rate.of(Timing(2.0, 1.0, 4.0), 8) == speed.Rate(median=4.0, lowest=2.0, highest=8.0)


def test_derived_figures():
    assert (SPEED.ratio, SPEED.multiply_adds_per_second, SPEED.share) == (4.0, 12e9, 0.5)
    figures = SPEED.to_dict()
    assert figures["ratio"] == 4.0 and figures["share"] == 0.5 and figures["ours"]["rate"]["median"] == 4.0


def test_the_table_has_both_sides():
    lines = speed_table(SPEED, "Animation").splitlines()
    assert lines[0] == "Animation, float32, 2 x chip"
    assert lines[3].split() == ["ours", "4", "2", "to", "5", "250.0", "300"]
    assert lines[4].split()[-1] == "100"
    assert lines[6].split()[-1] == "4.00"
    assert any(line.endswith("12.0 G, 50 %") for line in lines)
    assert any(line.endswith("3 at most, 0.25000 on average") for line in lines)


def test_the_table_of_starts():
    starts = [Start("animation", cached, compile_clock.Compilation(1.0, 2.5), 4.0) for cached in (False, True)]
    lines = start_table(starts, "some").splitlines()
    assert lines[0] == "Start, some"
    assert lines[3].split() == ["animation", "empty", "1.0", "2.5", "4.0"]
    assert lines[4].split() == ["animation", "filled", "1.0", "2.5", "4.0"]


@pytest.mark.parametrize(
    ("spans", "length"), [([], 0), ([(0, 4), (1, 2)], 4), ([(3, 4), (0, 1)], 2), ([(0, 2), (1, 3), (2, 5)], 5)]
)
def test_nested_spans_count_once(spans, length):
    assert compile_clock._covered(spans) == length


def test_the_clock_sees_what_is_compiled_inside():
    clock = compile_clock.CompileClock()
    jax.jit(lambda x: x + 1)(1.0)
    assert clock.compilation == compile_clock.Compilation()
    with clock.timed():
        jax.block_until_ready(jax.jit(lambda x: jax.jit(lambda y: y * 2)(x) + 3)(1.0))
    seen = clock.compilation
    assert seen.lower_secs > 0 and seen.compile_secs > 0
    jax.block_until_ready(jax.jit(lambda x: x + 4)(1.0))
    assert clock.compilation == seen


def test_peak_of_devices():
    chips = [SimpleNamespace(memory_stats=lambda n=n: {"peak_bytes_in_use": n * 2**20}) for n in (3, 5)]
    assert memory.peak_mib(chips) == 5
    assert memory.peak_mib(jax.local_devices()) == pytest.approx(memory.host_peak_mib(), rel=0.5)


def test_random_weights_pass_finite_numbers():
    variables = random_variables(tiny_config())
    assert all(np.isfinite(leaf).all() and leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
    again = random_variables(tiny_config())
    jax.tree.map(np.testing.assert_array_equal, variables, again)


def test_an_animated_frame_costs_the_networks_but_for_the_encoder():
    config = tiny_config()
    parts = {part.network: part.multiply_adds for part in config_capacities(config)}
    whole = sum(parts[name].layers + parts[name].activations for name in parts)
    outside = whole - parts["generator"].layers
    assert outside < animation_multiply_adds(config) < whole


def test_the_peers_process_has_neither_jax_nor_this_ones_memory():
    assert memory.host_peak_mib() > 150
    code = (
        "import sys, motion_transformer_jax.benchmarks.official_process, motion_transformer_jax.benchmark\n"
        "heavy = {'jax', 'flax', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from motion_transformer_jax.benchmarks.memory import host_peak_mib\n"
        "before = host_peak_mib()\n"
        "assert before < 150, before\n"
        "held = bytearray(b'1' * 2**26)\n"
        "assert 50 < host_peak_mib() - before < 200"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
