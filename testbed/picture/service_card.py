"""A service's box: its addresses, and the rules of its own that decide who gets a connection."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.objects.services import Service
from testbed.picture.shapes import Card, some

_CLUSTER = "Cluster"
"""The traffic policy that goes without saying."""


def service_card(service: Service, *, endpoints: bool) -> Card:
    """The box; `endpoints`: whether it has any."""
    lines = [*_addresses(service), *_rules(service)]
    if not endpoints and service.type != "ExternalName":
        lines.append("no endpoints")
    key = service_key(service.meta.namespace, service.meta.name)
    return Card(key, "service", service_name(service), tuple(lines))


def service_name(service: Service) -> str:
    """As people say it: the default namespace goes without saying."""
    return f"{service.meta.namespace}/{service.meta.name}".removeprefix("default/")


def service_key(namespace: str, name: str) -> str:
    return f"service-{namespace}-{name}"


def _addresses(service: Service) -> Iterator[str]:
    if service.type == "ExternalName":
        yield f"ExternalName: {service.external_name}"
        return
    yield service.type + (", headless" if service.headless else "")
    if not service.headless:
        ports = some([f"{port.port}/{port.protocol}" for port in service.ports], 4)
        yield from (f"{ip} : {ports}" for ip in service.cluster_ips)
    if node_ports := [str(port.node_port) for port in service.ports if port.node_port]:
        yield f"node port{'s' * (len(node_ports) > 1)} {some(node_ports, 4)}"
    if service.external_ips:
        yield f"external {', '.join(service.external_ips)}"
    if service.type == "LoadBalancer":
        balanced = [one.ip or one.hostname for one in service.load_balancer_ingress]
        yield f"load balancer {', '.join(balanced) or 'pending'}"


def _rules(service: Service) -> Iterator[str]:
    if service.session_affinity != "None":
        yield f"affinity {service.session_affinity}, {service.session_affinity_timeout_s} s"
    if service.internal_traffic_policy != _CLUSTER:
        yield f"internal traffic {service.internal_traffic_policy}"
    if service.external_traffic_policy != _CLUSTER:
        yield f"external traffic {service.external_traffic_policy}"
    if service.traffic_distribution:
        yield f"distribution {service.traffic_distribution}"
