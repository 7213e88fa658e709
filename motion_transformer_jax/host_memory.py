"""How the process's memory allocator gets memory, and treats what is freed."""

import ctypes
import functools
import gc
import os
import platform
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event
_LONG_SECS = 5
_TRIM_EVERY_SECS = 2
_GAP = 512 << 20
_HUGE_PAGES = 14  # Linux's MADV_HUGEPAGE, from its mman.h
_in_first_thread = False
_Program = TypeVar("_Program")


def keep_freed_memory(*, in_threads: bool = False) -> None:
    """Keep freed memory for the next allocation instead of giving it back to the system; nothing but on glibc.

    Each run of a compiled program on a CPU allocates its intermediate arrays anew. By default blocks of megabytes come
    from the system and go back to it, and it clears every page again: a third of the time of an animated frame. The
    process stays as large as it once was. New memory is in huge pages where Linux has them for programs that ask, which
    makes animation an eighth faster. For before there are other threads.

    Compiling leaves many thousands of free blocks of all sizes, through which glibc looks at every allocation, so that
    each thread has a heap of its own. Those of other threads than the first give large blocks back: on a CPU, programs
    run in the thread that calls them, if JAX has not looked for its devices yet.

    Args:
        in_threads: Whether programs are called by other threads than the first, as in a server. All threads share one
            heap then, unless glibc's `MALLOC_ARENA_MAX` says how many there are, and `forget_tracing`, `leave_gap` and
            `compile_apart` do nothing of their own.
    """
    global _in_first_thread
    _in_first_thread = not in_threads
    if not _on_glibc():
        return
    mallopt = _libc().mallopt
    if in_threads and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_ARENA_MAX, 1)
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
    mallopt(_TOP_PAD, 256 << 20)
    _grow_in_huge_pages()
    if not in_threads:
        import jax  # slow to import, and not needed by commands that print their help only

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def forget_tracing() -> None:
    """In commands, but a server, give back what JAX remembers of tracing, a quarter of a gigabyte for a training step.

    Programs that were compiled ahead of time stay; functions that are jitted are traced anew at their next call.
    """
    if not _in_first_thread:
        return
    import jax

    jax.clear_caches()
    gc.collect()
    _trim()


@functools.cache
def leave_gap() -> None:
    """In commands, but a server, leave half a gigabyte free in the heap, once; before a large program's first run.

    A run allocates all of its intermediate arrays as one block. Whatever is allocated after it for good, if there is no
    smaller hole, comes from the block's, which is too small from then on: the next run takes as much memory anew. The
    gap is the smaller hole. It takes memory when it is used only. Nothing but on glibc.
    """
    if not (_in_first_thread and _on_glibc()):
        return
    libc = _libc()
    gap, _end = libc.malloc(_GAP), libc.malloc(_GAP)  # what lies behind the gap keeps it from joining the heap's end
    libc.free(gap)


def compile_apart(compile_program: Callable[[], _Program]) -> _Program:
    """In commands, but a server, compile in a thread of its own, and return the result.

    What compiling leaves, many thousands of small blocks, is then in that thread's heap and not among the arrays of the
    first one's. Meanwhile freed memory goes back every other second: the compiler's passes free gigabytes one after the
    other, each in blocks that the next one does not fill. Nothing but a call except on glibc.
    """
    if not (_in_first_thread and _on_glibc()):
        return compile_program()
    with futures.ThreadPoolExecutor(1, "compile") as thread:
        compiling = thread.submit(compile_program)
        while not futures.wait([compiling], _TRIM_EVERY_SECS).done:
            _trim()
    return compiling.result()


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
    if _on_glibc():
        _libc().malloc_trim(0)
        _grow_in_huge_pages()


def _grow_in_huge_pages() -> None:
    """Have the heap grow by huge pages, for the next half of the machine's memory, where the system leaves the choice.

    With small ones the processor looks up addresses all the time. They take memory when they are used only, and the
    heap's end loses them when it is trimmed.
    """
    libc = _libc()
    page = os.sysconf("SC_PAGE_SIZE")
    size = os.sysconf("SC_PHYS_PAGES") // 2 * page
    room = libc.malloc(size)
    if room is None:  # more than the process may have
        return
    libc.madvise(-(-room // page) * page, size - page, _HUGE_PAGES)
    libc.free(room)


def _on_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
