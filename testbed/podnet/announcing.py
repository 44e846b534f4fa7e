"""Pod networks beside which nodes tell routers of load balancers' addresses by BGP, as MetalLB does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testbed.model.topology import Topology
from testbed.podnet.bgp import BorderGateway
from testbed.podnet.network import Member, NodeNetwork, PodNetwork, Site


class Announcing:
    """A `PodNetwork`: another one, and a BIRD on each node that speaks with the routers on its links."""

    def __init__(self, inner: PodNetwork, topology: Topology) -> None:
        self._inner = inner
        self._gateway = BorderGateway(topology)
        self.needs = inner.needs | self._gateway.needs
        self.overhead = inner.overhead
        self.mistakes = inner.mistakes
        self.annotations = inner.annotations
        self.detours = inner.detours

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        planned = self._inner.plan(site, members)
        return replace(planned, daemon=self._gateway.services_daemon(site, own))
