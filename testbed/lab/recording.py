"""What is noted during a trial, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recording:
    """What the kernel and the servers noted during a trial.

    `entries` is read by `traffic.conntrack.read_entries`, each accept log (by pod name) by
    `traffic.accept_log.read_accept_log`. `lost` counts conntrack events that did not fit a socket's
    buffer; `counters` are the tables' own, per node, now minus at the start.
    """

    entries: Path
    accept_logs: dict[str, Path]
    lost: int
    counters: dict[str, dict[str, int]]
    picks: tuple[tuple[str, Path], ...] = ()
    """(node, file for `proxy.userspace_picks`) of each proxy that is a process."""
