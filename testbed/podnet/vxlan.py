"""`vxlan`, flannel's backend of that name: a tunnel's end per node, known to all others by its Node object.

Sources: flannel, pkg/backend/vxlan (vxlan.go, device.go, vxlan_network.go) and pkg/subnet/kube/annotations.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network

from testbed.ip import IPAddress, IPNetwork
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet.direct import address_like
from testbed.podnet.masquerade import flannel
from testbed.podnet.network import Forward, Member, Neighbour, NodeNetwork, Route, Site, Vxlan

_PREFIX = "flannel.alpha.coreos.com"
_DATA = {4: f"{_PREFIX}/backend-data", 6: f"{_PREFIX}/backend-v6-data"}
"""By IP family: what a tunnel's end is like."""
_PUBLIC_IP = {4: f"{_PREFIX}/public-ip", 6: f"{_PREFIX}/public-ipv6"}
_INDEX = {4: 94, 6: 95}
"""ifindex: above a node's cables, below its pods' links."""
_OVERHEAD = {4: 50, 6: 70}
"""Bytes of the outer IP header, UDP, VXLAN and the inner Ethernet header."""


@dataclass(frozen=True, slots=True)
class _Peer:
    """A node in one IP family. `tunnel`: its own end's address."""

    address: IPAddress
    pods: IPNetwork
    mac: str

    @property
    def tunnel(self) -> IPAddress:
        return self.pods.network_address


class VxlanOverlay:
    """A `PodNetwork`."""

    needs = frozenset({"vxlan"})

    def __init__(self, topology: Topology) -> None:
        network = topology.network
        self._settings = network.vxlan
        self._cluster = network.pod_cidrs
        self._movable = network.sticky_ips
        self._masquerades = network.masquerades
        self.overhead = max(_OVERHEAD[family] for family in network.families)

    def mistakes(self, topology: Topology) -> list[Mistake]:
        return []

    def annotations(self, site: Site, member: Member) -> Mapping[str, str]:
        said = {f"{_PREFIX}/backend-type": "vxlan", f"{_PREFIX}/kube-subnet-manager": "true"}
        for address in member.addresses:
            data = {"VNI": self._settings.vni, "VtepMAC": _mac(address)}
            said[_DATA[address.version]] = json.dumps(data, separators=(",", ":"))
            said[_PUBLIC_IP[address.version]] = str(address)
        return said

    def plan(self, site: Site, members: Sequence[Member]) -> NodeNetwork:
        own = next(member for member in members if member.name == site.name)
        others = [peer for member in members if member is not own for peer in _peers(member)]
        tunnelled = [peer for peer in others if not self._is_beside(site, peer)]
        return NodeNetwork(
            pod_mtu=site.mtu - self.overhead,
            pod_cidrs=own.pod_cidrs,
            devices=tuple(self._end(site, address) for address in own.addresses),
            addresses=tuple(
                (self._name(pods.version), ip_interface((pods[0], pods.max_prefixlen)))
                for pods in own.pod_cidrs
            ),
            neighbours=frozenset(
                Neighbour(peer.tunnel, peer.mac, self._name(peer.pods.version))
                for peer in tunnelled
            ),
            forwards=frozenset(
                Forward(peer.mac, peer.address, self._name(peer.pods.version)) for peer in tunnelled
            ),
            routes=frozenset(self._route(site, peer.pods, peer) for peer in others),
            blackholes=frozenset(own.pod_cidrs),
            masquerade=flannel(own.pod_cidrs, self._cluster, movable=self._movable)
            if self._masquerades
            else (),
        )

    def detours(
        self, site: Site, members: Mapping[str, Member], away: Mapping[IPAddress, str]
    ) -> frozenset[Route]:
        """Through the tunnel of the node where the address is; flannel knows no such thing."""
        return frozenset(
            self._route(site, ip_network(address), peer)
            for address, name in away.items()
            if name != site.name and name in members
            for peer in _peers(members[name])
            if peer.pods.version == address.version
        )

    def _name(self, family: int) -> str:
        return f"flannel{'-v6' if family == 6 else ''}.{self._settings.vni}"

    def _end(self, site: Site, address: IPAddress) -> Vxlan:
        return Vxlan(
            self._name(address.version),
            _INDEX[address.version],
            _mac(address),
            site.mtu - _OVERHEAD[address.version],
            self._settings.vni,
            self._settings.port,
            address,
        )

    def _is_beside(self, site: Site, peer: _Peer) -> bool:
        """Whether its packets need no tunnel: it is on one network with the node, and the file says so."""
        return self._settings.direct_routing and any(
            peer.address in link.network for link in site.links if link.version == peer.pods.version
        )

    def _route(self, site: Site, destination: IPNetwork, peer: _Peer) -> Route:
        if self._is_beside(site, peer):
            return Route(destination, peer.address)
        return Route(destination, peer.tunnel, self._name(destination.version), onlink=True)


def _peers(member: Member) -> Iterator[_Peer]:
    """A member in each IP family in which its agent has said what its end is like."""
    for pods in member.pod_cidrs:
        data = member.annotations.get(_DATA[pods.version])
        if data is not None:
            address = address_like(pods.network_address, member.addresses)
            yield _Peer(address, pods, json.loads(data)["VtepMAC"])


def _mac(address: IPAddress) -> str:
    """Of the tunnel's end of the node that has the address; flannel draws one at random."""
    last = int(address) % 2**32
    return f"02:{address.version:02x}:" + ":".join(f"{byte:02x}" for byte in last.to_bytes(4))
