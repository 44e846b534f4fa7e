"""`host-gw`, flannel's backend of that name: each node routes the others' pods to the others. No tunnel.

Source: flannel, pkg/backend/hostgw and pkg/backend/route_network.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from testbed.ip import IPAddress
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.model.wiring import Wiring, wiring
from testbed.podnet.direct import direct_detours, direct_routes
from testbed.podnet.masquerade import flannel
from testbed.podnet.network import Member, NodeNetwork, Route, Site


class HostGateway:
    """A `PodNetwork`."""

    needs: frozenset[str] = frozenset()
    overhead = 0

    def __init__(self, topology: Topology) -> None:
        network = topology.network
        self._cluster = network.pod_cidrs
        self._movable = network.sticky_ips
        self._masquerades = network.masquerades

    def mistakes(self, topology: Topology) -> list[Mistake]:
        cni = topology.network.cni
        key, hint = "cni", "use cni: vxlan, weave or bgp, which routers pass on"
        if cni.conflist is not None:
            key, hint = "routes", "use routes: vxlan or bgp, which routers pass on"
        for node, other in _nodes_apart(wiring(topology)):
            message = f"{key}: host-gw needs all nodes on one segment: {other} is not on {node}'s"
            return [Mistake(("network", "cni"), message, hint)]
        return []

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        return {}

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        return NodeNetwork(
            pod_mtu=site.mtu,
            pod_cidrs=own.pod_cidrs,
            routes=direct_routes(member for member in members if member is not own),
            # As Calico has it: packets for a pod that is gone end here.
            blackholes=frozenset(own.pod_cidrs),
            masquerade=flannel(own.pod_cidrs, self._cluster, movable=self._movable)
            if self._masquerades
            else (),
        )

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        return direct_detours(site, members, away)


def _nodes_apart(wired: Wiring) -> Iterator[tuple[str, str]]:
    """Who cannot route to whom: a route leads to a node's first interface, on a segment of its own."""
    ports = {name: at for name, at in wired.ports().items() if wired.kinds[name] == "node" and at}
    on = {name: {segment.name for _, segment in at} for name, at in ports.items()}
    for name, at in ports.items():
        _, segment = at[0]
        for other, segments in on.items():
            if segment.name not in segments:
                yield name, other
