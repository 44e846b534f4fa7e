"""What each node's proxy gives each endpoint of a service port: the weights of the service view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testbed.picture.scene import Scene
from testbed.picture.shapes import percent, some
from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.entries import ServicePortEntry

Shares = Mapping[str, Mapping[str, float]]
"""Node -> endpoint (`ip:port`) -> share of its new connections; empty where it reaches nobody."""


@dataclass(frozen=True, slots=True)
class PortShares:
    """One service port, of one IP family, on all nodes."""

    entry: ServicePortEntry
    """As the first node has it."""
    inside: Shares
    """Of connections that pods and nodes make to its cluster address."""
    outside: Shares
    """Of connections that come to a node port, external or load balancer address; as `inside` where
    there is no such address."""


def port_shares(scene: Scene) -> list[PortShares]:
    """All service ports, in the tables' order; the primary IP family's first."""
    found: dict[tuple[str, str, str], list[tuple[str, ServicePortEntry]]] = {}
    for table in scene.tables:
        for entry in table.ports:
            found.setdefault((entry.name, entry.protocol, entry.cluster_ip), []).append(
                (table.node, entry)
            )
    return [_shares(entries) for entries in found.values()]


def _shares(entries: list[tuple[str, ServicePortEntry]]) -> PortShares:
    inside = {node: _equal(_usable(entry, entry.internal_local)) for node, entry in entries}
    outside = {node: _equal(_usable(entry, entry.external_local)) for node, entry in entries}
    first = entries[0][1]
    return PortShares(first, inside, outside if first.externally_accessible else inside)


def _usable(entry: ServicePortEntry, local: bool) -> tuple[ServiceEndpoint, ...]:
    return entry.local_endpoints if local else entry.cluster_endpoints


def _equal(endpoints: tuple[ServiceEndpoint, ...]) -> Mapping[str, float]:
    return {one.text: 1 / len(endpoints) for one in endpoints}


def mean(shares: Shares, endpoints: Iterable[str]) -> float:
    """What endpoints get together, over all nodes alike."""
    wanted = set(endpoints)
    total = sum(share for node in shares.values() for end, share in node.items() if end in wanted)
    return total / len(shares) if shares else 0.0


def told(shares: Shares, endpoints: Iterable[str]) -> tuple[str, ...]:
    """What endpoints get together: `33.3 %`, or by node where nodes differ, most nodes first."""
    wanted = set(endpoints)
    groups: dict[str, list[str]] = {}
    for node, found in shares.items():
        share = sum(value for end, value in found.items() if end in wanted)
        groups.setdefault(percent(share), []).append(node)
    if len(groups) == 1:
        return tuple(groups)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    lines = [f"{some(nodes, 2)}: {share}" for share, nodes in ordered if share != "0 %"]
    return tuple(lines if len(lines) <= 3 else [*lines[:2], "…"])
