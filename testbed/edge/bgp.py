"""Which nodes tell routers of which addresses. Source: MetalLB, speaker/bgp_controller.go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from testbed.edge.balanced import Balanced
from testbed.fabric.machine import Fabric
from testbed.ip import IPNetwork

MOST_WAYS = 16
"""That BIRD merges to one route (its manual, `merge paths`)."""


def announced_by(node: str, services: Iterable[Balanced]) -> dict[IPNetwork, str]:
    """The destinations that a node tells of, one address each, and a service that has it. All nodes tell of a
    service that has an endpoint anywhere; with policy Local those alone that have one of their own.
    """
    return {
        ip_network(address): service.key
        for service in services
        if node in service.nodes
        for address in service.addresses
    }


def heard_by(
    fabric: Fabric, told: Mapping[str, Iterable[IPNetwork]]
) -> Iterator[tuple[str, IPNetwork, int]]:
    """(router, destination, by how many ways): what routers hear from the nodes on their own links."""
    for router in fabric.machines:
        if router.asn is None:
            continue
        segments = {one.segment for one in router.interfaces}
        found: dict[IPNetwork, int] = {}
        for name, destinations in told.items():
            own = fabric.machine(name).interfaces
            if any(one.segment in segments for one in own):
                for destination in destinations:
                    found[destination] = found.get(destination, 0) + 1
        for destination, ways in found.items():
            yield router.name, destination, min(ways, MOST_WAYS)
