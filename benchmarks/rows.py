"""The one form of what is measured: how it is timed, printed and written."""

import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

How = Literal["live", "scaled", "alone"]
LEAST = 0.05  # seconds a turn takes at least: what is shorter is called several times in it
HEADER = "| | this package | torchvision | times | how | note |\n| --- | ---: | ---: | ---: | --- | --- |"
PACKAGES = ("maskrcnn_jax", "jax", "jaxlib", "flax", "numpy", "opencv-python-headless", "torch", "torchvision", "pycocotools")


class Row(NamedTuple):
    """Something measured, of which less is better.

    name: what. ours, theirs: this package's and torchvision's samples, one a turn. how: `live` is torchvision itself; `scaled` its
    backbone+FPN in the same turns, times what the whole took on another machine; `alone` has no torchvision. unit: s, MiB, or
    nothing. note: whatever a reader must know to believe it.
    """

    name: str
    ours: list[float]
    theirs: list[float]
    how: How
    note: str = ""
    unit: str = "s"


def in_turn(*calls: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.perf_counter) -> list[list[float]]:
    """Seconds that each of `calls` took in each of `repeats` turns, one after the other in every turn, after two that do not count.

    Args:
      calls: each returns when its work is done.
      repeats: turns.
      clock: seconds.
    """

    def seconds(call: Callable[[], Any], times: int) -> float:
        start = clock()
        for _ in range(times):
            call()
        return (clock() - start) / times

    for call in calls:
        call()
    times = [max(1, math.ceil(LEAST / max(seconds(call, 1), 1e-9))) for call in calls]
    turns = [[seconds(call, count) for call, count in zip(calls, times, strict=True)] for _ in range(repeats)]
    return [list(samples) for samples in zip(*turns, strict=True)]


def ratio(row: Row) -> float:
    """Median of torchvision's over the median of ours: above 1, ours is ahead; nan without torchvision's."""
    return float(np.median(row.theirs) / np.median(row.ours)) if row.theirs else math.nan


def line(row: Row) -> str:
    """The row of a Markdown table: median (lower ... upper quartile) of both, and how many times ours is ahead."""
    theirs = _cell(row.theirs, row.unit) if row.theirs else ""
    return f"| {row.name} | {_cell(row.ours, row.unit)} | {theirs} | {f'{ratio(row):.2f}' if row.theirs else ''} | {row.how} | {row.note} |"


def _cell(samples: Sequence[float], unit: str) -> str:
    low, middle, high = np.percentile(samples, (25, 50, 75))
    if unit == "s" and middle < 1:
        low, middle, high, unit = 1e3 * low, 1e3 * middle, 1e3 * high, "ms"
    return f"{_digits(middle)} {unit} ({_digits(low)} ... {_digits(high)})".replace("  ", " ")


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Sequence[Row], command: Sequence[str]) -> dict[str, Any]:
    """What is written as JSON: date, machine, versions, and of each row its samples, medians and ratio."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "rows": [_entry(row) for row in rows],
    }


def _entry(row: Row) -> dict[str, Any]:
    medians = {"ours_median": float(np.median(row.ours))}
    if row.theirs:
        medians |= {"theirs_median": float(np.median(row.theirs)), "ratio": ratio(row)}
    return row._asdict() | medians


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory and JAX's devices."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = {text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")}
    flags = next((text.split() for text in lines if text.startswith("flags")), [])
    return {
        "processor": ", ".join(sorted(names)) or platform.processor(),
        "avx512": "avx512f" in flags,
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "devices": [device.device_kind for device in jax.devices()],
    }


def cores() -> int:
    """Those this process may use: threads of torchvision, as of JAX."""
    return len(os.sched_getaffinity(0))


def on_one_core(call: Callable[[], Any]) -> Callable[[], Any]:
    """`call` with every thread of the process on one core."""

    def pinned() -> Any:
        allowed = os.sched_getaffinity(0)
        _pin({min(allowed)})
        try:
            return call()
        finally:
            _pin(allowed)

    return pinned


def _pin(allowed: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it ended
            os.sched_setaffinity(int(thread), allowed)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
