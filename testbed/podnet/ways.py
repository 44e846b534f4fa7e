"""The two ways a veth pair joins a pod to its node, as netlink messages: routed, and over a bridge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import ip_interface, ip_network
from typing import Protocol

from testbed.ip import ANYWHERE, IPAddress, IPInterface, IPNetwork
from testbed.kernel import addresses, links, neighbours, static_routes
from testbed.kernel.netlink import Message, mac_bytes
from testbed.podnet.link import GATEWAY, NODE_MAC, PodLink


class Way(Protocol):
    """What differs between the ways. The pair itself is there already, its node's end down."""

    def node_mac(self, link: PodLink) -> str:
        """MAC address of the node's end."""

    def address(self, address: IPAddress, link: PodLink, *, by_name_only: bool = False) -> Message:
        """In the pod: makes an address its own. `by_name_only`: see `addresses.address`."""

    def leave(self, link: PodLink) -> list[Message]:
        """In the pod: how packets for others leave it."""

    def join(self, link: PodLink) -> list[Message]:
        """On the node: puts its end of the link into service."""

    def towards(self, address: IPAddress, link: PodLink) -> list[Message]:
        """On the node: makes packets for an address of the pod's find the link."""

    def announcements(self, link: PodLink) -> list[bytes]:
        """Frames that the pod sends once it is joined, so that others find its addresses there."""


@cache
def _to_node(family: int, index: int) -> tuple[Message, ...]:
    """The same in every pod."""
    gateway = GATEWAY[family].packed
    return (
        neighbours.neighbour(gateway, NODE_MAC, index),
        static_routes.route(ANYWHERE[family], index, via=gateway, onlink=True),
    )


@dataclass(frozen=True, slots=True)
class Routed:
    """Host routes and permanent neighbours, as `podnet.link` describes it (a `Way`)."""

    def node_mac(self, link: PodLink) -> str:
        return NODE_MAC

    def address(self, address: IPAddress, link: PodLink, *, by_name_only: bool = False) -> Message:
        own = ip_interface((address, address.max_prefixlen))
        return addresses.address(own, link.pod_index, by_name_only=by_name_only)

    def leave(self, link: PodLink) -> list[Message]:
        return [step for own in link.addresses for step in _to_node(own.version, link.pod_index)]

    def join(self, link: PodLink) -> list[Message]:
        return [links.link_up(link.node_index)]

    def towards(self, address: IPAddress, link: PodLink) -> list[Message]:
        return [
            static_routes.route(ip_network((address, address.max_prefixlen)), link.node_index),
            neighbours.neighbour(address.packed, link.mac, link.node_index),
        ]

    def announcements(self, link: PodLink) -> list[bytes]:
        return []


@dataclass(frozen=True, slots=True)
class Bridged:
    """A port of a bridge of the node's, which is there and up: pods find each other by ARP (a `Way`)."""

    bridge: int
    """Its ifindex."""
    gateways: tuple[IPInterface, ...]
    """Its own addresses, one per IP family: pods are in their networks."""
    routes: tuple[IPNetwork, ...] = tuple(ANYWHERE.values())
    """What pods send there."""

    def node_mac(self, link: PodLink) -> str:
        return "02:03" + link.mac[5:]  # ports of one bridge have addresses of their own

    def address(self, address: IPAddress, link: PodLink, *, by_name_only: bool = False) -> Message:
        prefix = self._gateway(address.version).network.prefixlen
        own = ip_interface((address, prefix))
        return addresses.address(own, link.pod_index, by_name_only=by_name_only)

    def leave(self, link: PodLink) -> list[Message]:
        gateways = {own.version: self._gateway(own.version).ip for own in link.addresses}
        return [
            static_routes.route(route, link.pod_index, via=gateways[route.version].packed)
            for route in self.routes
            if route.version in gateways
        ]

    def join(self, link: PodLink) -> list[Message]:
        return [
            links.bridge_port(link.node_index, self.bridge),
            # A pod that dials its own service is answered by the port that it came in by.
            links.hairpin(link.node_index),
        ]

    def towards(self, address: IPAddress, link: PodLink) -> list[Message]:
        return []

    def announcements(self, link: PodLink) -> list[bytes]:
        """Gratuitous ARP: switches that know an address elsewhere learn that it has moved."""
        return [_gratuitous_arp(link.mac, own) for own in link.addresses if own.version == 4]

    def _gateway(self, family: int) -> IPInterface:
        return next(one for one in self.gateways if one.version == family)


def _gratuitous_arp(mac: str, address: IPAddress) -> bytes:
    """A request for one's own address, to everybody (RFC 5227, section 3)."""
    own = mac_bytes(mac)
    ethernet = b"\xff" * 6 + own + b"\x08\x06"
    arp = b"\x00\x01\x08\x00\x06\x04\x00\x01"  # Ethernet, IPv4, their lengths, a request
    return ethernet + arp + own + address.packed + bytes(6) + address.packed
