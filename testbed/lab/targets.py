"""Which pods may answer a URL: the ready endpoints of the service that it names. Pure."""

from __future__ import annotations

from itertools import product

from testbed.dns.outside import hostnames
from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.store import Snapshot
from testbed.traffic.spec import Target


def backends_of(target: Target, namespace: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Names of the pods behind a URL that a client in `namespace` asks for; none where it is no service's."""
    for service in snapshot.list(Service):
        if _is_meant(target, namespace, service, snapshot):
            slices = snapshot.slices_by_service()
            return _ready(slices.get((service.meta.namespace, service.meta.name), ()))
    return ()


def _is_meant(target: Target, namespace: str, service: Service, snapshot: Snapshot) -> bool:
    if target.address is None:
        if target.host.rstrip(".").lower() in hostnames(service):
            return True
        name, _, rest = target.host.rstrip(".").partition(".")
        return (name, rest.partition(".")[0] or namespace) == (
            service.meta.name,
            service.meta.namespace,
        )
    balanced = (one.ip for one in service.load_balancer_ingress)
    if target.address in (*service.cluster_ips, *service.external_ips, *balanced):
        return True
    ports = {port.node_port for port in service.ports}
    nodes = {ip for node in snapshot.list(Node) for ip in node.internal_ips}
    return target.address in nodes and target.port in ports


def _ready(slices: tuple[EndpointSlice, ...]) -> tuple[str, ...]:
    names = {
        endpoint.target.name
        for item in slices
        for endpoint in item.endpoints
        if endpoint.ready and endpoint.target is not None
    }
    return tuple(sorted(names))


def endpoints_of(
    snapshot: Snapshot, ip: str, port: int, protocol: str
) -> tuple[tuple[str, int], ...]:
    """(ip, port) of every endpoint that a packet for a service's address may be sent on to; none for other
    addresses. No packet changes its IP family. `protocol` is tcp or udp.
    """
    found: dict[tuple[str, int], None] = {}
    slices = snapshot.slices_by_service()
    for service in snapshot.list(Service):
        if port in _ports_at(service, ip, protocol, snapshot):
            for item in slices.get((service.meta.namespace, service.meta.name), ()):
                if item.address_type != FAMILY_NAMES[family_of(ip)]:
                    continue
                pairs = product(item.endpoints, item.ports)
                found |= dict.fromkeys((end.addresses[0], one.port) for end, one in pairs)
    return tuple(found)


def _ports_at(service: Service, ip: str, protocol: str, snapshot: Snapshot) -> set[int]:
    """The ports on which a service is had at an address."""
    ports = [one for one in service.ports if one.protocol.lower() == protocol]
    balanced = {one.ip for one in service.load_balancer_ingress}
    if ip in {*service.cluster_ips, *service.external_ips, *balanced}:
        return {one.port for one in ports}
    nodes = {address for node in snapshot.list(Node) for address in node.internal_ips}
    return {one.node_port for one in ports if one.node_port} if ip in nodes else set()
