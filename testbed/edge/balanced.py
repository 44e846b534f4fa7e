"""What a provider has to know of a service: its addresses, its ports, the nodes that may be sent its packets.

Sources: MetalLB, speaker/layer2_controller.go and bgp_controller.go; KEP-1143 (the label that excludes nodes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.ip import IPAddress
from testbed.model.fakes import is_fake
from testbed.model.load_balancer import EXCLUDE_LABEL
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.store import Snapshot


@dataclass(frozen=True, slots=True)
class BalancedPort:
    """One port of a service."""

    name: str
    protocol: str
    port: int
    node_port: int
    """0: it has none."""


@dataclass(frozen=True, slots=True)
class Balanced:
    """A service that has addresses."""

    key: str
    """namespace/name."""
    addresses: tuple[IPAddress, ...]
    ports: tuple[BalancedPort, ...]
    local: bool
    """externalTrafficPolicy Local: `nodes` are those with an endpoint of their own."""
    nodes: tuple[str, ...]
    """That may be sent its packets, by name: none without an endpoint that can serve. Whether they live is
    the provider's to find out."""
    health_check_node_port: int
    """0: it has none."""
    session_affinity: bool
    source_ranges: tuple[str, ...]


def balanced(service: Service, slices: Iterable[EndpointSlice], nodes: Iterable[Node]) -> Balanced:
    """Of one service and the slices that are its own."""
    local = service.external_traffic_policy == "Local"
    near = {
        endpoint.node_name
        for item in slices
        for endpoint in item.endpoints
        if endpoint.ready or endpoint.serving
    }
    return Balanced(
        key=f"{service.meta.namespace}/{service.meta.name}",
        addresses=tuple(ip_address(one.ip) for one in service.load_balancer_ingress if one.ip),
        ports=tuple(
            BalancedPort(port.name, port.protocol, port.port, port.node_port)
            for port in service.ports
        ),
        local=local,
        nodes=tuple(
            sorted(
                node.meta.name
                for node in nodes
                if near and is_usable(node) and (node.meta.name in near or not local)
            )
        ),
        health_check_node_port=service.health_check_node_port,
        session_affinity=service.session_affinity == "ClientIP",
        source_ranges=service.load_balancer_source_ranges,
    )


def is_usable(node: Node) -> bool:
    """Whether load balancers may send it anything, as far as its object says; it need not be ready."""
    return not is_fake(node) and EXCLUDE_LABEL not in node.meta.labels


def balanced_in(snapshot: Snapshot, services: Iterable[Service]) -> tuple[Balanced, ...]:
    """Those of the services that have addresses, by name."""
    having = sorted(
        (one for one in services if any(entry.ip for entry in one.load_balancer_ingress)),
        key=lambda one: (one.meta.namespace, one.meta.name),
    )
    if not having:
        return ()
    slices = snapshot.slices_by_service()
    nodes = tuple(snapshot.list(Node))
    return tuple(
        balanced(one, slices.get((one.meta.namespace, one.meta.name), ()), nodes) for one in having
    )
