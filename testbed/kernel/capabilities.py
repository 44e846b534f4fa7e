"""What root may do: in a container, less than elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

NEEDED = {"NET_ADMIN": 12, "SYS_ADMIN": 21}
"""Capabilities that a lab of root needs, by their bits (capabilities(7))."""


def lacking(status: Path = Path("/proc/self/status")) -> tuple[str, ...]:
    """Those that this process does not have."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    has = int(line.split()[1], 16)
    return tuple(name for name, bit in NEEDED.items() if not has >> bit & 1)


def root_remedy(status: Path = Path("/proc/self/status")) -> str:
    """What to do where root lacks some; "" where it lacks none, or is not root."""
    names = lacking(status) if os.geteuid() == 0 else ()
    if not names:
        return ""
    return (
        f"a container withholds it: run it with {' '.join(f'--cap-add {name}' for name in names)}"
    )
