"""Cluster addresses and node ports of services.

Kubernetes' allocator draws at random; here the draw is a hash of the service's name, so that equal
topologies give equal addresses. The low part of the range stays free for addresses that are asked
for by name (KEP-3070).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar

from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.ip import FAMILY_NAMES, IPNetwork
from testbed.model.fields import Mistake
from testbed.model.objects.metadata import name_of
from testbed.model.objects.services import Service, ServicePort
from testbed.model.service_families import family_mistakes, with_families

T = TypeVar("T")

NODE_PORTS = (30000, 32767)
"""Kubernetes' default --service-node-port-range."""
STATIC_ADDRESSES = 16
"""The band that is not drawn from, KEP-3070's least; the DNS service's tenth address is in it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What services already have: address -> service, and (node port, protocol) -> service."""

    addresses: MutableMapping[str, str]
    node_ports: MutableMapping[tuple[int, str], str]

    @classmethod
    def by(cls, services: Iterable[Service]) -> Taken:
        """What these services have."""
        taken = cls({}, {})
        for service in services:
            taken.add(service)
        return taken

    def remove(self, service: Service) -> None:
        """Count one service's no more."""
        own = Taken.by([service])
        _remove(own.addresses, self.addresses)
        _remove(own.node_ports, self.node_ports)

    def add(self, service: Service) -> None:
        """Count one more service's."""
        for ip in service.cluster_ips:
            if ip != "None":
                self.addresses[ip] = name_of(service)
        for port in service.ports:
            if port.node_port:
                self.node_ports[port.node_port, port.protocol] = name_of(service)
        if service.health_check_node_port:
            self.node_ports[service.health_check_node_port, "TCP"] = name_of(service)


def _remove(mine: Mapping[T, str], all_of_them: MutableMapping[T, str]) -> None:
    for key, owner in mine.items():
        if all_of_them.get(key) == owner:
            del all_of_them[key]


def allocate(
    service: Service,
    existing_services: Iterable[Service],
    service_cidrs: Sequence[IPNetwork],
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> Service:
    """The service with its IP families, its cluster address in each (`service_cidrs` are the cluster's
    ranges, the primary one first) and its node ports.

    Raises UsageError for an address or port that is asked for and taken or out of range, and
    OutOfTimeOrRoom where the range is used up. For many services hand one `Taken` to
    `allocate_next`: this function counts all the existing ones each time.
    """
    others = [other for other in existing_services if name_of(other) != name_of(service)]
    return allocate_next(service, Taken.by(others), service_cidrs, node_port_range)


def allocate_next(
    service: Service,
    taken: Taken,
    service_cidrs: Sequence[IPNetwork],
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> Service:
    """As `allocate`; what the service got is added to `taken`."""
    wrong = conflicts(service, taken, service_cidrs, node_port_range)
    if wrong:
        sentences = "; ".join(str(mistake) for mistake in wrong)
        raise UsageError(f"service {name_of(service)}: {sentences}")
    if service.type == "ExternalName":
        return service
    allocated = _with_addresses(with_families(service, service_cidrs), taken, service_cidrs)
    taken.add(allocated)
    if has_node_ports(service):
        ports: list[ServicePort] = []
        for port in service.ports:
            node_port = port.node_port or _node_port(service, port, taken, node_port_range)
            taken.node_ports[node_port, port.protocol] = name_of(service)
            ports.append(replace(port, node_port=node_port))
        allocated = replace(allocated, ports=tuple(ports))
    if needs_health_check(service) and not service.health_check_node_port:
        port = ServicePort(0, "healthCheckNodePort")
        number = _node_port(allocated, port, taken, node_port_range)
        taken.node_ports[number, port.protocol] = name_of(service)
        allocated = replace(allocated, health_check_node_port=number)
    return allocated


def needs_health_check(service: Service) -> bool:
    """Whether load balancers ask each node, on a port of its own, if it has a backend of this service."""
    return service.type == "LoadBalancer" and service.external_traffic_policy == "Local"


def has_node_ports(service: Service) -> bool:
    """Whether each of its ports is also one of every node's."""
    if service.type == "LoadBalancer":
        return service.allocate_load_balancer_node_ports
    return service.type == "NodePort"


def _with_addresses(service: Service, taken: Taken, service_cidrs: Sequence[IPNetwork]) -> Service:
    if service.headless:
        return service
    ranges = {FAMILY_NAMES[network.version]: network for network in service_cidrs}
    left = service.ip_families[len(service.cluster_ips) :]
    drawn = (drawn_address(name_of(service), taken, ranges[family]) for family in left)
    return replace(service, cluster_ips=(*service.cluster_ips, *drawn))


def allocate_all(
    services: Iterable[Service],
    service_cidrs: Sequence[IPNetwork],
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> tuple[Service, ...]:
    """All of a cluster's services, allocated. What one asks for by name no other one draws.

    Raises as `allocate`.
    """
    waiting = list(services)
    taken = Taken({}, {})
    order = sorted(range(len(waiting)), key=lambda index: not asks(waiting[index]))
    done: dict[int, Service] = {}
    for index in order:
        done[index] = allocate_next(waiting[index], taken, service_cidrs, node_port_range)
    return tuple(done[index] for index in range(len(waiting)))


def asks(service: Service) -> bool:
    """Whether it wants certain addresses or ports, which no second one may have."""
    return bool(service.cluster_ips or service.health_check_node_port) or any(
        port.node_port for port in service.ports
    )


def conflicts(
    service: Service,
    taken: Taken,
    service_cidrs: Sequence[IPNetwork],
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> list[Mistake]:
    """What is wrong with the addresses and ports that the service asks for; paths below `spec`."""
    mistakes = [
        *_address_conflicts(service, taken, service_cidrs),
        *family_mistakes(service, service_cidrs),
    ]
    asked: set[tuple[int, str]] = set()
    low, high = node_port_range
    for index, port in enumerate(service.ports):
        if not port.node_port:
            continue
        path = ("ports", index, "nodePort")
        key = (port.node_port, port.protocol)
        owner = taken.node_ports.get(key) or (name_of(service) if key in asked else "")
        asked.add(key)
        if service.type not in {"NodePort", "LoadBalancer"}:
            hint = "use type NodePort"
            mistakes.append(Mistake(path, f"a {service.type} service has no node port", hint))
        elif not low <= port.node_port <= high:
            mistakes.append(Mistake(path, f"node ports are from {low} to {high}"))
        elif owner:
            message = f"node port {port.node_port}/{port.protocol} is taken by service {owner}"
            mistakes.append(Mistake(path, message))
    return [*mistakes, *_health_check_conflicts(service, taken, node_port_range)]


def _health_check_conflicts(
    service: Service, taken: Taken, node_port_range: tuple[int, int]
) -> list[Mistake]:
    number, path = service.health_check_node_port, ("healthCheckNodePort",)
    if not number:
        return []
    low, high = node_port_range
    if not needs_health_check(service):
        hint = "only type LoadBalancer with externalTrafficPolicy Local has one"
        return [Mistake(path, "this service has no health check", hint)]
    if not low <= number <= high:
        return [Mistake(path, f"node ports are from {low} to {high}")]
    owner = taken.node_ports.get((number, "TCP"))
    own = any((port.node_port, port.protocol) == (number, "TCP") for port in service.ports)
    if owner or own:
        owner = owner or name_of(service)
        return [Mistake(path, f"node port {number}/TCP is taken by service {owner}")]
    return []


def _address_conflicts(service: Service, taken: Taken, cidrs: Sequence[IPNetwork]) -> list[Mistake]:
    path = ("clusterIPs",) if len(service.cluster_ips) > 1 else ("clusterIP",)
    if not service.cluster_ips or (service.headless and service.type == "ClusterIP"):
        return []
    if service.type == "ExternalName":
        return [Mistake(path, "an ExternalName service has no address", "leave it out")]
    if service.headless:
        return [Mistake(path, f"a {service.type} service cannot be headless", "use ClusterIP")]
    mistakes = []
    for text in service.cluster_ips:
        if not any(is_address_of(text, cidr) for cidr in cidrs):
            ranges = ",".join(map(str, cidrs))
            mistakes.append(Mistake(path, f"{text[:60]} is not one of serviceCIDR {ranges}"))
        elif owner := taken.addresses.get(text):
            mistakes.append(Mistake(path, f"{text} is taken by service {owner}"))
    return mistakes


def is_address_of(text: str, cidr: IPNetwork) -> bool:
    """Whether a service may have this address of the range."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    offset = int(address) - int(cidr.network_address)
    return address in cidr and 0 < offset <= _last(cidr)


def _last(cidr: IPNetwork) -> int:
    """Index of the last address that a service may have: IPv4's very last is for broadcast."""
    return cidr.num_addresses - (2 if cidr.version == 4 else 1)


def drawn_address(name: str, taken: Taken, cidr: IPNetwork) -> str:
    """The first free address from the name's hash on; the static band is used last. Raises OutOfTimeOrRoom."""
    usable = _last(cidr)
    band = min(STATIC_ADDRESSES, usable // 2)
    drawn = usable - band
    start = zlib.crc32(name.encode()) % max(drawn, 1)
    for step in range(drawn):
        address = str(cidr[1 + band + (start + step) % drawn])
        if address not in taken.addresses:
            return address
    for index in range(1, 1 + band):
        address = str(cidr[index])
        if address not in taken.addresses:
            return address
    raise OutOfTimeOrRoom(f"serviceCIDR {cidr} is used up", "use a larger one")


def _node_port(
    service: Service, port: ServicePort, taken: Taken, node_port_range: tuple[int, int]
) -> int:
    low, high = node_port_range
    room = high - low + 1
    start = zlib.crc32(f"{name_of(service)}/{port.name}/{port.port}".encode()) % room
    asked = {(other.node_port, other.protocol) for other in service.ports}
    for step in range(room):
        key = (low + (start + step) % room, port.protocol)
        if key not in taken.node_ports and key not in asked:
            return key[0]
    raise OutOfTimeOrRoom(f"node ports {low}-{high} are used up", "use fewer node ports")
