"""Who gets which address: nodes, outside hosts, each node's pods, the cluster's DNS service.

Addresses follow from the order of names in the topology, so appending a name moves nobody else's.
Every one has an address of each IP family of the topology, the primary family first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testbed.errors import UsageError
from testbed.ip import BITS, IPNetwork
from testbed.model import fakes
from testbed.model.segment_addresses import InterfaceAddress, segment_addresses
from testbed.model.topology import Topology
from testbed.model.wiring import wiring

POD_PREFIX = {4: 24, 6: 64}
"""Kubernetes' default node-cidr-mask-size-ipv4 and -ipv6."""
DNS_INDEX = 10
"""kubeadm gives the cluster's DNS the tenth address of the service range."""

_NONE = (InterfaceAddress("", ()),)
"""Of a machine that is linked to nothing, which is a mistake."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node's addresses on the switch and the ranges of its pods, as text, one per IP family."""

    ips: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    fake: bool = False
    """Nothing has these addresses: there is no such machine."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The addresses of an outside host or a router, one per IP family."""

    ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Addresses of all machines, by name, in the topology's order: those of their first interfaces."""

    nodes: Mapping[str, NodeAddress]
    hosts: Mapping[str, HostAddress]
    routers: Mapping[str, HostAddress]
    networks: tuple[IPNetwork, ...]
    """The machines' own, one per IP family."""
    segments: Mapping[str, tuple[IPNetwork, ...]]
    """Each segment's share of them."""
    interfaces: Mapping[str, tuple[InterfaceAddress, ...]]
    """Of each machine but switches, `eth0` first; of fake nodes what they would have."""


def plan_addresses(topology: Topology) -> AddressPlan:
    """The plan of a topology. Raises UsageError where a network is too small."""
    nodes = list(fakes.nodes(topology))
    segments, interfaces = segment_addresses(topology, wiring(topology))
    pods = topology.network.pod_cidrs
    prefixes = [pod_prefix(network, len(nodes)) for network in pods]
    return AddressPlan(
        nodes={
            entry.name: NodeAddress(
                ips=interfaces.get(entry.name, _NONE)[0].ips,
                pod_cidrs=tuple(
                    f"{network[index * 2 ** (network.max_prefixlen - prefix)]}/{prefix}"
                    for network, prefix in zip(pods, prefixes, strict=True)
                ),
                fake=bool(entry.spec.fake),
            )
            for index, entry in enumerate(nodes)
        },
        hosts={name: HostAddress(interfaces.get(name, _NONE)[0].ips) for name in topology.hosts},
        routers={
            name: HostAddress(interfaces.get(name, _NONE)[0].ips) for name in topology.routers
        },
        networks=topology.network.node_cidrs,
        segments=segments,
        interfaces=interfaces,
    )


def pod_prefix(pod_cidr: IPNetwork, nodes: int) -> int:
    """Prefix length of one node's pod range: Kubernetes' default (/24, /64), or smaller ranges where not all
    nodes get that.

    Raises UsageError when not even four addresses each are left.
    """
    bits = max(nodes - 1, 0).bit_length()
    prefix = max(POD_PREFIX[pod_cidr.version], pod_cidr.prefixlen + bits)
    if prefix > pod_cidr.max_prefixlen - 2:
        raise UsageError(f"podCIDR {pod_cidr} has no room for the pods of {nodes} nodes")
    return prefix


def pods_per_node(prefix: int, family: int = 4) -> int:
    """How many pods have an address in a node's range: all but its first, the node's own and its last."""
    return int(2 ** (BITS[family] - prefix)) - 3


def dns_ips(service_cidrs: Iterable[IPNetwork]) -> tuple[str, ...]:
    """The clusterIPs of the cluster's DNS service."""
    return tuple(str(network[DNS_INDEX]) for network in service_cidrs)


def name_servers(topology: Topology) -> tuple[str, ...]:
    """Whom pods ask for names: the DNS service, or the cache on their node; nobody without DNS pods."""
    dns, network = topology.dns, topology.network
    if not dns.replicas:
        return ()
    if dns.node_local is not None:
        return (dns.node_local.listens(network.families),)
    return dns_ips(network.service_cidrs)
