"""What a pod network cannot do of a topology whose keys are all right: found by `check`."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.ip import IPV6_LEAST_MTU
from testbed.model import link_consistency
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.model.wiring import Wiring, wiring
from testbed.podnet.network import PodNetwork
from testbed.podnet.networks import NETWORKS, network_of


def mistakes(topology: Topology) -> list[Mistake]:
    """Every one, of what its pod network and the length of packets come to."""
    if topology.network.cni.routes not in NETWORKS or any(link_consistency.mistakes(topology)):
        return []  # what links say is to be put right first
    network = network_of(topology)
    return [*network.mistakes(topology), *_too_long_packets(topology, network)]


def _too_long_packets(topology: Topology, network: PodNetwork) -> Iterator[Mistake]:
    """Of the links that nodes have, the one with the smallest MTU bounds all pods' packets."""
    settings = topology.network
    links = min(_mtus_of_nodes(topology, wiring(topology)), default=settings.mtu)
    left = links - network.overhead
    what = f"cni: {settings.cni.routes} adds {network.overhead} bytes to a packet"
    if settings.pod_mtu is not None and settings.pod_mtu > left:
        message = f"pods' packets of {settings.pod_mtu} bytes fit on no link of {links}"
        yield Mistake(
            ("network", "podMTU"),
            f"{message}: {what}" if network.overhead else message,
            f"use {left} or less, or leave it out",
        )
    elif 6 in settings.families and (settings.pod_mtu or left) < IPV6_LEAST_MTU <= links:
        if settings.pod_mtu is not None:
            message = f"IPv6 needs links of {IPV6_LEAST_MTU} bytes at least"
            yield Mistake(("network", "podMTU"), message, "use a larger one, or leave it out")
            return
        message = f"IPv6 needs {IPV6_LEAST_MTU} bytes for pods, links of {links} leave them {left}"
        hint = f"use {IPV6_LEAST_MTU + network.overhead} or more"
        yield Mistake(("network", "mtu"), f"{message}: {what}", hint)


def _mtus_of_nodes(topology: Topology, wired: Wiring) -> Iterator[int]:
    for wire in wired.wires:
        if any(wired.kinds[end] == "node" for end in wire.link.endpoints):
            yield wire.link.mtu or topology.network.mtu
