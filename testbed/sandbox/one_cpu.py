"""Processes that one CPU is enough for, and that lose by having more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def on_one_cpu() -> Iterator[None]:
    """Whoever is started in here stays on the CPU that this process is on now.

    A guest kernel has one CPU, and is told by ptrace of each system call and page fault of its processes. Where
    two CPUs of the host take turns at that, one is woken each time: 4 to 9 times as long (docs/kernels.md).
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_current()})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _current() -> int:
    """Where the scheduler has just put this process: not beside whoever keeps another CPU busy."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[36])  # proc(5): field 39; the name, which may hold spaces, is the second
