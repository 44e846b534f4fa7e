"""Which pod network a topology asks for: a line per word of `network.cni`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from testbed.model.topology import Topology
from testbed.podnet.announcing import Announcing
from testbed.podnet.bgp import BorderGateway
from testbed.podnet.host_gw import HostGateway
from testbed.podnet.network import Daemon, PodNetwork
from testbed.podnet.plugged import NoRoutes, Plugged
from testbed.podnet.vxlan import VxlanOverlay
from testbed.podnet.weave import WeaveMesh

Factory = Callable[[Topology], PodNetwork]

NETWORKS: Mapping[str, Factory] = MappingProxyType(
    {
        "host-gw": HostGateway,
        "vxlan": VxlanOverlay,
        "weave": WeaveMesh,
        "bgp": BorderGateway,
        "none": lambda topology: NoRoutes(),
    }
)


def network_of(topology: Topology) -> PodNetwork:
    """The pod network of a topology that `model.support` takes."""
    found = NETWORKS[topology.network.cni.routes](topology)
    if topology.load_balancer.provider == "bgp" and topology.network.cni.routes != "bgp":
        found = Announcing(found, topology)
    return found if topology.network.cni.conflist is None else Plugged(found, topology)


def router_daemons(topology: Topology) -> dict[str, Daemon]:
    """What the pod network, or load balancers', runs on machines that are no nodes, by name."""
    if "bgp" not in {topology.network.cni.routes, topology.load_balancer.provider}:
        return {}
    return BorderGateway(topology).routers()
