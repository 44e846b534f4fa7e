"""The one clock: CLOCK_MONOTONIC of the kernel that carries the lab."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC; comparable across all processes of one kernel."""
    return time.monotonic_ns()


def now_s() -> float:
    """Seconds of CLOCK_MONOTONIC."""
    return time.monotonic_ns() / 1e9
