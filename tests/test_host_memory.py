"""Freed memory stays with the process, which the system's count of page faults tells."""

import ctypes
import os
import pathlib
import platform
import resource
import subprocess
import sys

import pytest

from motion_transformer_jax import host_memory
from motion_transformer_jax.host_memory import keep_freed_memory

# Page faults of ten arrays of 64 MiB, one after the other: before, when the process grows, and from then on.
PROGRAM = """
import resource
import numpy as np
from motion_transformer_jax.host_memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_freed_memory()
print(given_back, faults(), faults())
"""


def test_arrays_reuse_memory():
    """In a process of its own: the setting cannot be taken back."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    given_back, growing, kept = map(int, done.stdout.split())
    if platform.libc_ver()[0] != "glibc" or given_back == 0:
        pytest.skip("no glibc, or no count of page faults")
    assert growing < given_back / 3
    assert kept < given_back / 20


def run_with_own_heaps(program, **environment):
    """Without the number of heaps that these tests are given."""
    others = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=others | environment)


# Page faults of five runs of a program with an intermediate array of 64 MiB: at first, and the fewest from then on. On
# a busy machine a run may begin before the array of the one before is free.
COMPILED_PROGRAM = """
import resource
from motion_transformer_jax.host_memory import keep_freed_memory

keep_freed_memory()
import jax
import jax.numpy as jnp
from motion_transformer_jax.ops.fusion import materialize

program = jax.jit(lambda x: jnp.sum(materialize(x * 2)))

def faults(x):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        program(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

x = jnp.ones((2048, 8192))
print(faults(x), min(faults(x) for _ in range(5)))
"""


def test_programs_reuse_memory():
    done = run_with_own_heaps(COMPILED_PROGRAM)
    growing, kept = map(int, done.stdout.split())
    if platform.libc_ver()[0] != "glibc" or growing == 0:
        pytest.skip("no glibc, or no count of page faults")
    assert kept < 2 * (64 << 20) / resource.getpagesize()  # fewer than two runs'


# Heaps in use once a thread has allocated something.
HEAPS_PROGRAM = """
import ctypes
import threading
from motion_transformer_jax.host_memory import keep_freed_memory

keep_freed_memory(in_threads={})
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
thread = threading.Thread(target=lambda: libc.malloc(1000))
thread.start()
thread.join()
stdout = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""


@pytest.mark.parametrize(
    ("in_threads", "own_number", "shared"), [(True, None, True), (False, None, False), (True, "8", False)]
)
def test_threads_share_a_heap_where_they_run_programs(in_threads, own_number, shared):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("no glibc")
    done = run_with_own_heaps(
        HEAPS_PROGRAM.format(in_threads), **({"MALLOC_ARENA_MAX": own_number} if own_number else {})
    )
    assert (done.stdout.count("<heap nr=") == 1) == shared


# MiB held after 256 were freed below a block that stays, then after a short and a long compilation.
TRIM_PROGRAM = """
import jax
import numpy as np
from motion_transformer_jax import host_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) // 256

host_memory.keep_freed_memory()
host_memory.trim_after_compilations()
host_memory.trim_after_compilations()
blocks = [np.ones(1 << 20, np.uint8) for _ in range(257)]
del blocks[:-1]
for seconds in (host_memory._LONG_SECS / 2, host_memory._LONG_SECS):
    jax.monitoring.record_event_duration_secs(host_memory._COMPILED, seconds)
    print(held())
"""


def test_what_a_long_compilation_leaves_goes_back():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("no glibc")
    done = subprocess.run([sys.executable, "-c", TRIM_PROGRAM], capture_output=True, text=True, check=True)
    kept, trimmed = map(int, done.stdout.split())
    assert trimmed < kept - 200


# The MiB held of 256 that were freed below a block that stays, while a "program" compiles that waits for them to go
# back; and whether that was in a heap of its own.
COMPILE_PROGRAM = """
import threading
import time
import numpy as np
from motion_transformer_jax import host_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) // 256

def compile_program():
    deadline = time.monotonic() + {}
    kept = held()
    while held() > kept - 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    return kept - held(), threading.current_thread() is not threading.main_thread()

host_memory.keep_freed_memory(in_threads={})
host_memory._TRIM_EVERY_SECS = 0.01
blocks = [np.ones(1 << 20, np.uint8) for _ in range(257)]
del blocks[:-1]
print(*map(int, host_memory.compile_apart(compile_program)))
"""


@pytest.mark.parametrize(("in_threads", "patience_secs"), [(False, 60), (True, 0.5)])
def test_compiling_has_a_heap_of_its_own_and_what_it_frees_goes_back_meanwhile(in_threads, patience_secs):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("no glibc")
    program = COMPILE_PROGRAM.format(patience_secs, in_threads)
    done = run_with_own_heaps(program)
    gone, apart = map(int, done.stdout.split())
    assert (gone > 200) == apart == (not in_threads)


def test_what_compiling_raises_comes_through(monkeypatch):
    monkeypatch.setattr(host_memory, "_in_first_thread", True)
    with pytest.raises(ZeroDivisionError):
        host_memory.compile_apart(lambda: 1 // 0)


# MiB of huge pages among 64, before the heap asks for them, then, and once it was trimmed.
HUGE_PAGES_PROGRAM = """
import re
from motion_transformer_jax import host_memory

def huge():
    block = bytearray(64 << 20)  # NumPy would ask for them itself
    return sum(map(int, re.findall("AnonHugePages: *([0-9]+)", open("/proc/self/smaps").read()))) // 1024

print(huge())
host_memory.keep_freed_memory()
print(huge())
host_memory._trim()
print(huge())
"""


def test_the_heap_has_huge_pages():
    choice = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if platform.libc_ver()[0] != "glibc" or not choice.exists() or "[madvise]" not in choice.read_text():
        pytest.skip("no glibc, or no huge pages for those who ask")
    done = subprocess.run([sys.executable, "-c", HUGE_PAGES_PROGRAM], capture_output=True, text=True, check=True)
    before, asked, trimmed = map(int, done.stdout.split())
    assert before < 32 < min(asked, trimmed)


# MiB by which the process grows from one run to the next, of a program with a block of 256, if 8 are allocated between.
GAP_PROGRAM = """
import numpy as np
from motion_transformer_jax import host_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) // 256

host_memory.keep_freed_memory(in_threads={})
host_memory._GAP = 64 << 20
host_memory.leave_gap()
block = np.ones(256 << 20, np.uint8)
result = np.empty(512 << 20, np.uint8)  # stays behind the block; never written, it takes no memory
before = held()
del block
other = np.ones(8 << 20, np.uint8)
block = np.ones(256 << 20, np.uint8)
print(held() - before)
"""


@pytest.mark.parametrize("in_threads", [False, True])
def test_what_is_allocated_between_runs_leaves_their_block_whole(in_threads):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("no glibc")
    program = GAP_PROGRAM.format(in_threads)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 100) == (not in_threads)


# How often programs are traced by three calls, before each of which what tracing leaves is forgotten.
FORGET_PROGRAM = """
from motion_transformer_jax import host_memory
host_memory.keep_freed_memory(in_threads={})
import jax
from motion_transformer_jax.ops.backend import compile_once

traced = []
jitted, once = jax.jit(lambda x: traced.append("jitted") or x), compile_once(lambda x: traced.append("once") or x)
for i in range(3):
    host_memory.forget_tracing()
    jitted(i), once(i)
print(traced.count("jitted"), traced.count("once"))
"""


@pytest.mark.parametrize(("in_threads", "expected"), [(False, "3 1"), (True, "1 1")])
def test_tracing_is_forgotten_but_in_servers(in_threads, expected):
    """In a process of its own: all of its programs are forgotten."""
    program = FORGET_PROGRAM.format(in_threads)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", None)
    keep_freed_memory()
