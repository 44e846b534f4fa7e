"""Ending a lab: one kill, and the kernel does the rest."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from testbed.errors import OutOfTimeOrRoom
from testbed.lab import registry

_DOWN_S = 60.0


def end(folder: Path) -> None:
    """End the lab of a folder and wait until none of its processes is left."""
    pid = registry.pid(folder)
    if pid is not None and registry.is_alive(folder):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            handle = None
        if handle is not None:
            _kill(handle)
    registry.remove(folder)


def _kill(handle: int) -> None:
    """Kill PID 1 of the lab: the kernel then kills the rest, and says when all are gone."""
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], _DOWN_S)[0]:
            raise OutOfTimeOrRoom(f"the lab did not end within {_DOWN_S:g} s")
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
