"""A pod's link to its node: a routed veth pair with permanent neighbours, as Calico wires its pods.

No bridge: every packet of a pod is routed by its node, so that it meets the node's rules, and nothing
depends on the ARP table that all namespaces share.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from testbed.ip import IPAddress

GATEWAY = {4: ip_address("169.254.1.1"), 6: ip_address("fe80::1")}
"""Every pod's default gateway, by IP family: no interface has it, the permanent neighbour stands in for ARP
and neighbour discovery."""
NODE_MAC = "ee:ee:ee:ee:ee:ee"
"""MAC address of the node's end of every pod link, as in Calico."""
POD_INTERFACE = "eth0"
POD_INDEX = 64
"""ifindex of a pod's `eth0`. The first ones are the kernel's: `lo` is 1, and where tunnels are built in,
every new namespace has `sit0`, `tunl0` and their like.
"""
FIRST_POD_INDEX = 100
"""Pod links of a node are numbered from here."""


@dataclass(frozen=True, slots=True)
class PodLink:
    """What has to be wired for one pod.

    `node_index` is the ifindex of the node's end, chosen by the node so that its routes can name it.
    """

    addresses: tuple[IPAddress, ...]
    """One per IP family, the primary one first."""
    mac: str
    node_interface: str
    node_index: int
    mtu: int
    pod_index: int = POD_INDEX
    """ifindex of the pod's end."""


def pod_mac(address: IPAddress) -> str:
    """A locally administered MAC address that is a function of the last 32 bits of the pod's address."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in address.packed[-4:])


def pod_link(addresses: tuple[IPAddress, ...], node_index: int, mtu: int) -> PodLink:
    """The link of the pod that has `addresses`."""
    return PodLink(addresses, pod_mac(addresses[0]), f"pod{node_index}", node_index, mtu)
