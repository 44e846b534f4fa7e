"""Ending a lab: one kill, and the kernel does the rest."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from testbed.errors import OutOfTimeOrRoom
from testbed.lab import docker_side, registry

_DOWN_S = 60.0


def end(folder: Path) -> None:
    """End the lab of a folder and wait until none of its processes, and of its containers, is left."""
    side = docker_side.of(folder)
    outside = None if side is None else _handle(docker_side.outside_pid(folder))
    handle = _handle(registry.pid(folder)) if registry.is_alive(folder) else None
    if handle is not None:
        # PID 1 of the lab: the kernel then kills the rest, and says when all are gone.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait(handle, "the lab")
    if outside is not None:
        _wait(outside, "what takes the lab's containers away")
    if side is not None:
        docker_side.clear(side)  # had that been killed, too
    registry.remove(folder)


def _handle(pid: int | None) -> int | None:
    """A descriptor of a process; None where it has ended."""
    try:
        return None if pid is None else os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait(handle: int, what: str) -> None:
    try:
        if not select.select([handle], [], [], _DOWN_S)[0]:
            raise OutOfTimeOrRoom(f"{what} did not end within {_DOWN_S:g} s")
    finally:
        os.close(handle)
