"""Which CPU the generators have to themselves (MEASURING.md, The CPU is part of the experiment)."""

from __future__ import annotations

import os


def generator_cpu() -> int | None:
    """The last CPU, which a pinned lab leaves free; None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1] if len(allowed) > 1 else None
