"""Settings of the network namespace that the calling thread is in."""

from __future__ import annotations

import os
from collections.abc import Iterable


def write(settings: Iterable[tuple[str, str]]) -> list[str]:
    """Write `name` = `value` under /proc/sys/net; returns the names that this kernel does not take.

    The files are written: `sysctl -w` answers 0 in a user namespace where nothing changes.
    """
    refused = []
    for name, value in settings:
        try:
            fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            refused.append(name)
            continue
        try:
            os.write(fd, value.encode())
        except OSError:
            refused.append(name)
        finally:
            os.close(fd)
    return refused
