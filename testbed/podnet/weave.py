"""`weave`, as Weave Net: all pods in one flat network, whose switches learn from traffic where everybody is.

Sources: weave, net/bridge.go, net/expose.go, router/fastdp.go; and its page "How Weave Net works".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface

from testbed.ip import IPAddress
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.masquerade import weave
from testbed.podnet.network import (
    EVERYBODY,
    Bridge,
    Bridged,
    Forward,
    Member,
    NodeNetwork,
    Route,
    Site,
    Vxlan,
)

BRIDGE, TUNNEL = "weave", "vxlan-6784"
PORT = 6784
"""UDP, of Weave's data between hosts."""
_VNI = 1
_BRIDGE_INDEX, _TUNNEL_INDEX = 96, 97
_OVERHEAD = 50
"""Bytes of the outer IPv4 header, UDP, VXLAN and the inner Ethernet header."""


class WeaveMesh:
    """A `PodNetwork`."""

    needs = frozenset({"vxlan", "br-netfilter"})
    overhead = _OVERHEAD

    def __init__(self, topology: Topology) -> None:
        self._masquerades = topology.network.masquerades
        self._cluster = topology.network.pod_cidrs

    def mistakes(self, topology: Topology) -> list[Mistake]:
        if topology.network.families == (4,):
            return []
        message = "cni: weave has no IPv6, as Weave Net has none"
        return [
            Mistake(("network", "podCIDR"), message, "use IPv4 alone, or cni: vxlan or host-gw")
        ]

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        return {}

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        (address,), (share,), (everybody,) = own.addresses, own.pod_cidrs, self._cluster
        gateway = ip_interface((share[1], everybody.prefixlen))
        mtu = site.mtu - _OVERHEAD
        return NodeNetwork(
            pod_mtu=mtu,
            pod_cidrs=own.pod_cidrs,
            pod_links=Bridged(BRIDGE, (gateway,)),
            devices=(
                Bridge(BRIDGE, _BRIDGE_INDEX, _mac(7, address), mtu),
                Vxlan(
                    TUNNEL,
                    _TUNNEL_INDEX,
                    _mac(8, address),
                    mtu,
                    _VNI,
                    PORT,
                    address,
                    learning=True,
                    bridge=BRIDGE,
                ),
            ),
            addresses=((BRIDGE, gateway),),
            forwards=frozenset(
                Forward(EVERYBODY, member.addresses[0], TUNNEL)
                for member in members
                if member is not own
            ),
            # What a bridge passes on meets the node's service rules, too.
            sysctls=(("bridge/bridge-nf-call-iptables", "1"),),
            masquerade=(weave(share, everybody),) if self._masquerades else (),
        )

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        """None: an address is wherever it answers from."""
        return frozenset()


def _mac(kind: int, address: IPAddress) -> str:
    return f"02:{kind:02x}:" + ":".join(f"{byte:02x}" for byte in address.packed[-4:])
