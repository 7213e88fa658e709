"""How the process's memory allocator treats what is freed."""

import contextlib
import ctypes
import functools
import gc
import os
import platform
import threading
from collections.abc import Iterator

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event
_LONG_SECS = 5
_TRIM_EVERY_SECS = 2
_GAP = 512 << 20
_compiles_long = False


def keep_freed_memory(*, compiles_long: bool = False) -> None:
    """Keep freed memory for the next allocation instead of giving it back to the system; nothing but on glibc.

    Each run of a compiled program on a CPU allocates its intermediate arrays anew. By default blocks of megabytes come
    from the system and go back to it, and it clears every page again: a third of the time of an animated frame. The
    process stays as large as it once was. For before there are other threads.

    Args:
        compiles_long: Whether programs are compiled for minutes, as for training. That leaves many thousands of free
            blocks of all sizes, through which glibc looks at every allocation, so that each thread gets a heap of its
            own. Those of other threads than the first give large blocks back: on a CPU, programs run in the thread that
            calls them then, if JAX has not looked for its devices yet, and `forget_tracing` does something. Otherwise
            all threads share one heap, unless glibc's `MALLOC_ARENA_MAX` says how many there are.
    """
    global _compiles_long
    _compiles_long = compiles_long
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not compiles_long and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_ARENA_MAX, 1)
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
    mallopt(_TOP_PAD, 256 << 20)
    if compiles_long:
        import jax  # slow to import, and not needed by commands that print their help only

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def forget_tracing() -> None:
    """Where programs are compiled for minutes, give back what JAX remembers of tracing, a quarter of a gigabyte.

    Programs that were compiled ahead of time stay; functions that are jitted are traced anew at their next call.
    """
    if not _compiles_long:
        return
    import jax

    jax.clear_caches()
    gc.collect()
    _trim()


@functools.cache
def leave_gap() -> None:
    """Where programs are compiled for minutes, leave half a gigabyte free in the heap, once; before their first run.

    A run allocates all of its intermediate arrays as one block. Whatever is allocated after it for good, if there is no
    smaller hole, comes from the block's, which is too small from then on: the next run takes as much memory anew. The
    gap is the smaller hole. It takes memory when it is used only. Nothing but on glibc.
    """
    if not _compiles_long or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    gap, _end = libc.malloc(_GAP), libc.malloc(_GAP)  # what lies behind the gap keeps it from joining the heap's end
    libc.free(gap)


@contextlib.contextmanager
def trim_meanwhile() -> Iterator[None]:
    """Where programs are compiled for minutes, give freed memory back every other second until the context ends.

    The compiler's passes free gigabytes one after the other, each in blocks that the next one does not fill. Nothing
    but on glibc.
    """
    if not _compiles_long or platform.libc_ver()[0] != "glibc":
        yield
        return
    done = threading.Event()

    def trim() -> None:
        while not done.wait(_TRIM_EVERY_SECS):
            _trim()

    thread = threading.Thread(target=trim, name="trim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@functools.cache
def trim_after_compilations() -> None:
    """From now on give back to the system what a long compilation leaves behind: gigabytes that no program fits into.

    Nothing but on glibc.
    """
    import jax

    jax.monitoring.register_event_duration_secs_listener(_trim_if_long)


def _trim_if_long(event: str, duration: float, **_) -> None:
    if event == _COMPILED and duration >= _LONG_SECS:
        _trim()


def _trim() -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
