"""Figures as text: aligned columns with a title."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motion_transformer_jax.benchmarks.compile import Start
    from motion_transformer_jax.benchmarks.data import LoaderSpeed
    from motion_transformer_jax.benchmarks.grid_sample import WarpSpeed
    from motion_transformer_jax.benchmarks.speed import Side, Speed


def loader_table(speeds: "list[LoaderSpeed]", title: str) -> str:
    """Pairs a second, and ratios to the first line."""
    official = speeds[0]
    header = [
        "",
        "workers",
        "pairs/s",
        "lowest to highest",
        "ratio",
        "pairs per core second",
        "ratio",
        "MiB at first and last",
    ]
    rows = [header]
    for speed in speeds:
        rate, per_core = speed.pairs_per_second, speed.pairs_per_core_second
        spread = f"{speed.spread[0]:.1f} to {speed.spread[1]:.1f}"
        ratio = f"{rate / official.pairs_per_second:.2f}"
        core = ["", ""] if per_core is None else [f"{per_core:.1f}", f"{per_core / official.pairs_per_core_second:.2f}"]
        memory = "" if speed.memory_mib is None else "{:.0f} to {:.0f}".format(*speed.memory_mib)
        rows.append([speed.name, str(speed.workers), f"{rate:.1f}", spread, ratio, *core, memory])
    return f"Training pairs, {title}\n\n{_aligned(rows)}"


def warp_table(speeds: "list[WarpSpeed]", title: str) -> str:
    """Milliseconds, and how many times faster ours is."""
    rows = [["", "ours, ms", "lowest to highest", "PyTorch, ms", "lowest to highest", "times faster", "difference"]]
    for speed in speeds:
        name = (
            f"{speed.size}x{speed.size}, {speed.channels} channels, {'and gradients' if speed.backward else 'forward'}"
        )
        times = []
        for timing in (speed.ours, speed.peer):
            times += [f"{1e3 * timing.median:.2f}", f"{1e3 * timing.lowest:.2f} to {1e3 * timing.highest:.2f}"]
        rows.append([name, *times, f"{speed.ratio:.2f}", f"{speed.difference:.1e}"])
    return f"Bilinear warp, {title}\n\n{_aligned(rows)}"


def speed_table(speed: "Speed", title: str) -> str:
    """Rates of ours and the peer, then what they amount to on this machine."""
    per = {"frames": "frame", "pairs": "pair"}[speed.unit]
    rows = [["", f"{speed.unit}/s", "lowest to highest", f"ms per {per}", "peak MiB"], _side("ours", speed.ours)]
    if speed.peer:
        rows.append(_side("official code", speed.peer))
    facts = [[f"{name}, each", f"{1e3 * seconds:.1f} ms"] for name, seconds in speed.stages.items()]
    if speed.peer:
        facts.insert(0, ["times faster than the official code", f"{speed.ratio:.2f}"])
    if speed.difference:
        largest, mean = speed.difference.largest, speed.difference.mean
        facts.append(["difference of the frames, levels of 255", f"{largest} at most, {mean:.5f} on average"])
    facts += [
        [f"multiply-adds per {per}", f"{speed.multiply_adds / 1e9:.2f} G"],
        ["multiply-adds a second", f"{speed.multiply_adds_per_second / 1e9:.1f} G"],
        ["of a matrix product's", f"{speed.matrix_product_rate / 1e9:.1f} G, {100 * speed.share:.0f} %"],
        ["to trace and lower", f"{speed.compilation.lower_secs:.1f} s"],
        ["to compile", f"{speed.compilation.compile_secs:.1f} s"],
    ]
    devices = f"{speed.num_devices} x {speed.device_kind}"
    return f"{title}, {speed.dtype}, {devices}\n\n{_aligned(rows)}\n\n{_aligned(facts)}"


def start_table(starts: "Sequence[Start]", title: str) -> str:
    """Seconds until each set of programs has run once."""
    rows = [["", "cache", "trace and lower, s", "compile, s", "first call, s"]]
    for start in starts:
        seconds = (start.compilation.lower_secs, start.compilation.compile_secs, start.first_call_secs)
        rows.append([start.name, "filled" if start.cached else "empty", *(f"{value:.1f}" for value in seconds)])
    return f"Start, {title}\n\n{_aligned(rows)}"


def _side(name: str, side: "Side") -> list[str]:
    rate = side.rate
    spread = f"{rate.lowest:.3g} to {rate.highest:.3g}"
    return [name, f"{rate.median:.3g}", spread, f"{1e3 / rate.median:.1f}", f"{side.peak_memory_mib:.0f}"]


def _aligned(rows: list[list[str]]) -> str:
    """Columns side by side, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )
