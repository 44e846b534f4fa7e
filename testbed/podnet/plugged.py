"""Pod networks under CNI plug-ins: those wire the pods, so a node keeps only what leads to the others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from testbed.ip import IPAddress
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.network import Member, NodeNetwork, PodNetwork, Route, Site

_WITHOUT_BRIDGE = frozenset({"ptp", "testbed-routed"})
_BRIDGED_PACKETS = {
    4: ("bridge/bridge-nf-call-iptables", "1"),
    6: ("bridge/bridge-nf-call-ip6tables", "1"),
}
"""As kubeadm demands. What crosses a node's bridge must meet its service rules, too: else a pod's answer to its
neighbour would come from an address that nobody has dialled."""

_LINK_LOCAL = (("ipv6/conf/default/addr_gen_mode", "0"),)
"""The kernel's default, for links that plug-ins make: a node that forwards asks for its neighbours from its
link-local address there.
"""


class Plugged:
    """A `PodNetwork`: another one, without what it has of the node's own pods."""

    def __init__(self, inner: PodNetwork, topology: Topology) -> None:
        network = topology.network
        has_bridge = may_bridge(network.cni.conflist or {})
        bridged = [_BRIDGED_PACKETS[family] for family in network.families if has_bridge]
        self._inner = inner
        self._sysctls = (*bridged, *(_LINK_LOCAL if 6 in network.families else ()))
        self.needs = inner.needs | (frozenset({"br-netfilter"}) if has_bridge else frozenset())
        self.overhead = inner.overhead
        self.mistakes = inner.mistakes
        self.annotations = inner.annotations
        self.detours = inner.detours

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        planned = self._inner.plan(site, members)
        return replace(
            planned,
            pod_links=None,
            # A bridge that has the range's network would come second to a black hole of the same length.
            blackholes=planned.blackholes - {*planned.pod_cidrs},
            sysctls=(*planned.sysctls, *self._sysctls),
        )


def may_bridge(conflist: Mapping[str, Any]) -> bool:
    """Whether a list, right or wrong, may put pods on a bridge: all that are not known to do without."""
    plugins = conflist.get("plugins")
    first = plugins[0] if isinstance(plugins, list) and plugins else conflist
    return not isinstance(first, dict) or first.get("type") not in _WITHOUT_BRIDGE


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
