"""`host-gw`, flannel's backend of that name: each node routes the others' pods to the others. No tunnel.

Source: flannel, pkg/backend/hostgw and pkg/backend/route_network.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.ip import IPAddress
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
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
