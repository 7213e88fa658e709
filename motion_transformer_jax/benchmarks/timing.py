"""Times of functions that are measured in turn, so that what slows the machine slows them alike."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

_WARM_UP = 2  # the first of them compiles


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one call, over the repeats.

    Attributes:
      median, lowest, highest: seconds by the clock.
    """

    median: float
    lowest: float
    highest: float


def time_in_turn(
    functions: Mapping[str, Callable[[], object]], *, repeats: int, warm_up: int = _WARM_UP
) -> dict[str, Timing]:
    """Times each function, one call of each after the other, `repeats` times over.

    Args:
      functions: name -> a call that returns when its work is done; what runs on a device must be waited for.
      repeats: timed calls of each, at least 1.
      warm_up: calls of each before.

    Returns:
      name -> its times.
    """
    for call in functions.values():
        for _ in range(warm_up):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, call in functions.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(statistics.median(times), min(times), max(times)) for name, times in seconds.items()}
