"""Pod networks under CNI plug-ins: those wire the pods, so a node keeps only what leads to the others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from testbed.ip import IPAddress
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.network import Member, NodeNetwork, PodNetwork, Route, Site


class Plugged:
    """A `PodNetwork`: another one, without what it has of the node's own pods."""

    def __init__(self, inner: PodNetwork) -> None:
        self._inner = inner
        self.needs = inner.needs
        self.overhead = inner.overhead
        self.mistakes = inner.mistakes
        self.annotations = inner.annotations
        self.detours = inner.detours

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        planned = self._inner.plan(site, members)
        # A bridge that has the range's network would come second to a black hole of the same length.
        return replace(
            planned, pod_links=None, blackholes=planned.blackholes - {*planned.pod_cidrs}
        )


class NoRoutes:
    """`routes: none` (a `PodNetwork`): the plug-ins join nodes' pods, or nobody does."""

    needs: frozenset[str] = frozenset()
    overhead = 0

    def mistakes(self, topology: Topology) -> list[Mistake]:
        return []

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        return {}

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        return NodeNetwork(pod_mtu=site.mtu, pod_cidrs=own.pod_cidrs)

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        return frozenset()
