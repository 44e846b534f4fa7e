"""What a lab's nodes lost in a trial, and how full their tables were: the fidelity meter inside the lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_DEVICES = "/proc/net/dev"
_BACKLOG = "/proc/net/softnet_stat"
_ENTRIES = "/proc/sys/net/netfilter/nf_conntrack_count"
_ROOM = "/proc/sys/net/netfilter/nf_conntrack_max"

COMMAND = ("grep", "-sH", "", _DEVICES, _BACKLOG, _ENTRIES, _ROOM)
"""Run on a node, it prints what `parse` reads; it passes over files that a kernel lacks."""


@dataclass(frozen=True, slots=True)
class NodeSignals:
    """Counters of one node since it began, its table now; None: its kernel does not tell."""

    link_dropped: int | None
    """Packets that its links dropped (proc_pid_net(5), dev)."""
    softnet_dropped: int | None
    """Packets for which a CPU of the kernel had no room in its backlog; of the whole kernel."""
    softnet_squeezed: int | None
    """How often a CPU stopped taking packets with some left: its time or budget was up."""
    conntrack_entries: int | None
    conntrack_max: int | None


def parse(text: str) -> NodeSignals:
    """What `COMMAND` printed."""
    files: dict[str, list[str]] = {}
    for line in text.splitlines():
        path, _, content = line.partition(":")
        files.setdefault(path, []).append(content)
    links = [line.rpartition(":")[2].split() for line in files.get(_DEVICES, ())[2:]]
    cpus = [line.split() for line in files.get(_BACKLOG, ())]
    return NodeSignals(
        # Receive: bytes packets errs drop fifo frame compressed multicast; then transmit.
        link_dropped=sum(int(link[3]) + int(link[11]) for link in links) if links else None,
        softnet_dropped=sum(int(cpu[1], 16) for cpu in cpus) if cpus else None,
        softnet_squeezed=sum(int(cpu[2], 16) for cpu in cpus) if cpus else None,
        conntrack_entries=_number(files.get(_ENTRIES)),
        conntrack_max=_number(files.get(_ROOM)),
    )


def _number(lines: list[str] | None) -> int | None:
    return int(lines[0]) if lines else None


def between(
    before: Mapping[str, NodeSignals], after: Mapping[str, NodeSignals]
) -> dict[str, float | None]:
    """What all nodes together lost in between, and the share of its room that the fullest table used
    at the end: entries outlive a trial, so that it is fullest then.
    """
    both = [(before[node], after[node]) for node in before if node in after]
    dropped = [_rise(old.link_dropped, new.link_dropped) for old, new in both]
    # Every node tells of the same CPUs.
    old, new = both[0] if both else (_SILENT, _SILENT)
    fill = [
        one.conntrack_entries / one.conntrack_max
        for one in after.values()
        if one.conntrack_entries is not None and one.conntrack_max
    ]
    known = [count for count in dropped if count is not None]
    return {
        "softnet_dropped": _rise(old.softnet_dropped, new.softnet_dropped),
        "softnet_squeezed": _rise(old.softnet_squeezed, new.softnet_squeezed),
        "link_dropped": sum(known) if known else None,
        "conntrack_fill_share": round(max(fill), 5) if fill else None,
    }


_SILENT = NodeSignals(None, None, None, None, None)


def _rise(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
