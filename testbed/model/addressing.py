"""Who gets which address: nodes, outside hosts, each node's pods, the cluster's DNS service.

Addresses follow from the order of names in the topology, so appending a name moves nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import UsageError
from testbed.model.topology import Topology

POD_PREFIX = 24
"""Kubernetes' default node-cidr-mask-size for IPv4."""
FIRST_NODE = 2
"""`.1` is left to the switch, as Docker's and kind's bridges have it."""
FIRST_HOST = 1
"""Outside hosts are in the upper half, so that nodes and hosts can both be appended to."""
DNS_INDEX = 10
"""kubeadm gives the cluster's DNS the tenth address of the service range."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node's address on the switch and the range of its pods, as text."""

    ip: str
    pod_cidr: str


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An outside host's address on the switch."""

    ip: str


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Addresses of all machines, by name, in the topology's order."""

    nodes: Mapping[str, NodeAddress]
    hosts: Mapping[str, HostAddress]
    node_prefix: int
    """Prefix length of the machines' network."""


def plan_addresses(topology: Topology) -> AddressPlan:
    """The plan of a topology. Raises UsageError where a network is too small."""
    network = topology.network
    machines, slices = network.node_cidr, network.pod_cidr
    room = machines.num_addresses // 2
    if len(topology.nodes) > room - FIRST_NODE:
        raise UsageError(f"nodeCIDR {machines} has no room for {len(topology.nodes)} nodes")
    if len(topology.hosts) > room - FIRST_HOST - 1:
        raise UsageError(f"nodeCIDR {machines} has no room for {len(topology.hosts)} hosts")
    prefix = pod_prefix(slices, len(topology.nodes))
    size = 2 ** (32 - prefix)
    return AddressPlan(
        nodes={
            name: NodeAddress(
                ip=str(machines[FIRST_NODE + index]),
                pod_cidr=f"{slices[index * size]}/{prefix}",
            )
            for index, name in enumerate(topology.nodes)
        },
        hosts={
            name: HostAddress(str(machines[room + FIRST_HOST + index]))
            for index, name in enumerate(topology.hosts)
        },
        node_prefix=machines.prefixlen,
    )


def pod_prefix(pod_cidr: IPv4Network, nodes: int) -> int:
    """Prefix length of one node's pod range: /24, or smaller ranges where not all nodes get that.

    Raises UsageError when not even four addresses each are left.
    """
    prefix = max(POD_PREFIX, pod_cidr.prefixlen + max(nodes - 1, 0).bit_length())
    if prefix > 30:
        raise UsageError(f"podCIDR {pod_cidr} has no room for the pods of {nodes} nodes")
    return prefix


def pods_per_node(prefix: int) -> int:
    """How many pods have an address in a node's range (its first and last address stay unused)."""
    return int(2 ** (32 - prefix)) - 2


def mac(ip: str) -> str:
    """A locally administered MAC that follows from the address: `02:00:` and its four bytes."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(ip).packed)


def dns_ip(service_cidr: IPv4Network) -> str:
    """The clusterIP of the cluster's DNS service."""
    return str(service_cidr[DNS_INDEX])
