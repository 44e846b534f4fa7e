"""What a node's kernel knows of its connections: the lines of `conntrack -L`, as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.claims.stage import Stage
from testbed.errors import TestbedError

_FIELD = re.compile(r"\b(src|dst|sport|dport)=(\S+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection as it came, and as it is answered; each end is `ip:port`."""

    src: str
    dst: str
    reply_src: str
    reply_dst: str
    replied: bool
    """Packets of both directions came by."""

    @property
    def translated(self) -> bool:
        """Another destination than the one that was dialled answers."""
        return self.reply_src != self.dst


def parse(text: str) -> tuple[Entry, ...]:
    """The TCP and UDP entries of a listing."""
    return tuple(
        entry
        for line in text.splitlines()
        if line[:3] in {"tcp", "udp"}
        for entry in _entries(line)
    )


def _entries(line: str) -> Iterable[Entry]:
    fields: dict[str, list[str]] = {"src": [], "dst": [], "sport": [], "dport": []}
    for name, value in _FIELD.findall(line):
        fields[name].append(value)
    if all(len(values) == 2 for values in fields.values()):
        ends = [
            f"{fields[ip][way]}:{fields[port][way]}"
            for way in (0, 1)
            for ip, port in (("src", "sport"), ("dst", "dport"))
        ]
        yield Entry(ends[0], ends[1], ends[2], ends[3], "[UNREPLIED]" not in line)


def tables(stage: Stage, protocol: str = "tcp") -> dict[str, tuple[Entry, ...]]:
    """The connections of a protocol that each node's kernel knows."""
    running = {
        node: stage.lab.begin(node, ["conntrack", "-L", "-p", protocol]) for node in stage.nodes
    }
    found = {}
    for node, listing in running.items():
        done = listing.result()
        if done.returncode:
            raise TestbedError(f"conntrack -L on {node}: {done.stderr.strip()}")
        found[node] = parse(done.stdout)
    return found


def entry_of(table: Iterable[Entry], src: str, dst: str) -> Entry | None:
    """The connection from `src` to `dst` (`ip:port` as dialled); ports come round again, pairs do not."""
    return next((entry for entry in table if (entry.src, entry.dst) == (src, dst)), None)


def knowing(tables_by_node: Mapping[str, Iterable[Entry]], dst: str) -> dict[str, int]:
    """How many connections to `dst` (`ip:port`) each node's kernel knows; none: it is left out."""
    counts = {
        node: sum(1 for entry in table if entry.dst == dst)
        for node, table in tables_by_node.items()
    }
    return {node: number for node, number in counts.items() if number}


def dialled(row: Mapping[str, Any]) -> str:
    """`ip:port` that a probe's row is about."""
    return f"{row['host']}:{row['port']}"


def ip_of(end: str) -> str:
    """The address of `ip:port`."""
    return end.rpartition(":")[0]
