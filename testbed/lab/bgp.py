"""Provider `bgp`: each node's BIRD tells the routers on its links of the addresses that it serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from testbed.clock import now_ns
from testbed.edge.balanced import Balanced
from testbed.edge.bgp import announced_by, heard_by
from testbed.events import Event
from testbed.fabric.plan import plan
from testbed.ip import IPNetwork
from testbed.model.topology import Topology

if TYPE_CHECKING:
    from testbed.lab.edge_providers import ProviderParts


class BgpProvider:
    """A `Provider`."""

    name = "bgp"
    ip_mode = "VIP"
    cleans_up = False

    def __init__(self, parts: ProviderParts) -> None:
        self._parts = parts
        self._fabric = plan(parts.setting.topology)
        self._told: dict[str, Mapping[IPNetwork, str]] = {}
        """What each node tells of: destinations, each with a service that has it."""

    def follow(self, topology: Topology) -> None:
        self._fabric = plan(topology)

    def node_started(self, name: str) -> None:
        self._told[name] = {}

    def node_stopped(self, name: str) -> None:
        self._note(name, self._told.pop(name), {}, {"reason": "power"})

    def tell(self, who: str, services: tuple[Balanced, ...]) -> None:
        if who not in self._told:
            return
        before, self._told[who] = self._told[who], announced_by(who, services)
        self._parts.pod_network.announce(who, tuple(self._told[who]))
        self._note(who, before, self._told[who], {})

    def missing(self, services: tuple[Balanced, ...]) -> str:
        ways = self._parts.pod_network.speakers.ways
        for router, destination, expected in self._expected():
            if ways(router, destination) < expected:
                return f"{router}'s routes to {destination.network_address} by BGP"
        return ""

    def view(self) -> Mapping[str, Any]:
        routers = {machine.name for machine in self._fabric.machines if machine.asn is not None}
        ways = self._parts.pod_network.speakers.ways
        every = sorted({one for told in self._told.values() for one in told}, key=str)
        return {
            "announcedBy": {
                str(one.network_address): [name for name, told in self._told.items() if one in told]
                for one in every
            },
            "ways": {
                router: {str(one.network_address): ways(router, one) for one in every}
                for router in sorted(routers)
            },
        }

    async def end(self) -> None:
        """The pod network ends its speakers."""

    def _expected(self) -> Iterator[tuple[str, IPNetwork, int]]:
        """Routers that hear of a destination from nodes on their own links, and from how many."""
        return heard_by(self._fabric, self._told)

    def _note(
        self,
        node: str,
        before: Mapping[IPNetwork, str],
        after: Mapping[IPNetwork, str],
        detail: Mapping[str, str],
    ) -> None:
        for kind, these, others in (("withdrawn", before, after), ("announcing", after, before)):
            for destination in sorted(these.keys() - others.keys(), key=str):
                said = {"service": these[destination], "protocol": "bgp", **detail}
                address = str(destination.network_address)
                self._parts.setting.record(Event(now_ns(), "edge", node, kind, address, 0, said))
        self._parts.changed.set()
