"""The most memory that was held so far. Imports no JAX, so that a peer's process does not hold it."""

import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def host_peak_mib() -> float:
    """The greatest resident memory of this process.

    Linux's own figure of the process where there is one: what `getrusage` tells of a started process begins with its
    parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def peak_mib(devices: Iterable[Any]) -> float:
    """The greatest memory held on one of these JAX devices; where they keep no account, as CPUs, in this process."""
    stats = [device.memory_stats() or {} for device in devices]
    peaks = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    return max(peaks) / 2**20 if peaks else host_peak_mib()
