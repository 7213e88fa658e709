"""How long JAX traces, lowers and compiles, by its own account."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import jax

_COMPILE = "/jax/core/compile/backend_compile_duration"  # with the persistent cache: to look there, and to load
_LOWER = ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration")


@dataclasses.dataclass(frozen=True)
class Compilation:
    """Seconds of making programs.

    Attributes:
      lower_secs: to trace Python and to lower what comes of it.
      compile_secs: to compile, or to load from the persistent cache.
    """

    lower_secs: float = 0.0
    compile_secs: float = 0.0


class CompileClock:
    """What `timed` saw so far; `compilation` sums it up."""

    def __init__(self):
        self._spans: dict[bool, list[tuple[float, float]]] = {False: [], True: []}

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Counts what happens inside."""
        jax.monitoring.register_event_duration_secs_listener(self._add)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(self._add)

    @property
    def compilation(self) -> Compilation:
        """The seconds; nested traces, of functions within functions, count once."""
        compile_secs = _covered(self._spans[True])
        return Compilation(_covered(self._spans[False] + self._spans[True]) - compile_secs, compile_secs)

    def _add(self, event: str, duration: float, **_) -> None:
        if event == _COMPILE or event in _LOWER:
            now = time.perf_counter()
            self._spans[event == _COMPILE].append((now - duration, now))


def _covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of the spans."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
