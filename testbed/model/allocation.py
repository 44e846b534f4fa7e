"""Cluster addresses and node ports of services.

Kubernetes' allocator draws at random; here the draw is a hash of the service's name, so that equal
topologies give equal addresses. The low part of the range stays free for addresses that are asked
for by name (KEP-3070).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.model.fields import Mistake
from testbed.model.objects import Service, ServicePort, name_of

NODE_PORTS = (30000, 32767)
"""Kubernetes' default --service-node-port-range."""
STATIC_ADDRESSES = 16
"""The band that is not drawn from, KEP-3070's least; the DNS service's tenth address is in it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What services already have: address -> service, and (node port, protocol) -> service."""

    addresses: dict[str, str]
    node_ports: dict[tuple[int, str], str]

    @classmethod
    def by(cls, services: Iterable[Service]) -> Taken:
        """What these services have."""
        taken = cls({}, {})
        for service in services:
            taken.add(service)
        return taken

    def add(self, service: Service) -> None:
        """Count one more service's."""
        for ip in service.cluster_ips:
            if ip != "None":
                self.addresses[ip] = name_of(service)
        for port in service.ports:
            if port.node_port:
                self.node_ports[port.node_port, port.protocol] = name_of(service)


def allocate(
    service: Service,
    existing_services: Iterable[Service],
    service_cidr: IPv4Network,
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> Service:
    """The service with its cluster address and node ports.

    Raises UsageError for an address or port that is asked for and taken or out of range, and
    OutOfTimeOrRoom where the range is used up. For many services hand one `Taken` to
    `allocate_next`: this function counts all the existing ones each time.
    """
    others = [other for other in existing_services if name_of(other) != name_of(service)]
    return allocate_next(service, Taken.by(others), service_cidr, node_port_range)


def allocate_next(
    service: Service,
    taken: Taken,
    service_cidr: IPv4Network,
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> Service:
    """As `allocate`; what the service got is added to `taken`."""
    wrong = conflicts(service, taken, service_cidr, node_port_range)
    if wrong:
        sentences = "; ".join(str(mistake) for mistake in wrong)
        raise UsageError(f"service {name_of(service)}: {sentences}")
    if service.type == "ExternalName":
        return service
    allocated = replace(
        service,
        cluster_ips=service.cluster_ips or (_address(name_of(service), taken, service_cidr),),
    )
    taken.add(allocated)
    if service.type in {"NodePort", "LoadBalancer"}:
        ports: list[ServicePort] = []
        for port in service.ports:
            node_port = port.node_port or _node_port(service, port, taken, node_port_range)
            taken.node_ports[node_port, port.protocol] = name_of(service)
            ports.append(replace(port, node_port=node_port))
        allocated = replace(allocated, ports=tuple(ports))
    return allocated


def allocate_all(
    services: Iterable[Service],
    service_cidr: IPv4Network,
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> tuple[Service, ...]:
    """All of a cluster's services, allocated. What one asks for by name no other one draws.

    Raises as `allocate`.
    """
    waiting = list(services)
    taken = Taken({}, {})
    order = sorted(range(len(waiting)), key=lambda index: not _asks(waiting[index]))
    done: dict[int, Service] = {}
    for index in order:
        done[index] = allocate_next(waiting[index], taken, service_cidr, node_port_range)
    return tuple(done[index] for index in range(len(waiting)))


def _asks(service: Service) -> bool:
    return bool(service.cluster_ip) or any(port.node_port for port in service.ports)


def conflicts(
    service: Service,
    taken: Taken,
    service_cidr: IPv4Network,
    node_port_range: tuple[int, int] = NODE_PORTS,
) -> list[Mistake]:
    """What is wrong with the addresses and ports that the service asks for; paths below `spec`."""
    mistakes = _address_conflicts(service, taken, service_cidr)
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
    return mistakes


def _address_conflicts(service: Service, taken: Taken, cidr: IPv4Network) -> list[Mistake]:
    path, text = ("clusterIP",), service.cluster_ip
    if not text or (service.headless and service.type == "ClusterIP"):
        return []
    if service.type == "ExternalName":
        return [Mistake(path, "an ExternalName service has no address", "leave it out")]
    if service.headless:
        return [Mistake(path, f"a {service.type} service cannot be headless", "use ClusterIP")]
    if not _is_one_of(text, cidr):
        return [Mistake(path, f"{text[:60]} is not one of serviceCIDR {cidr}")]
    owner = taken.addresses.get(text)
    return [Mistake(path, f"{text} is taken by service {owner}")] if owner else []


def _is_one_of(text: str, cidr: IPv4Network) -> bool:
    try:
        address = IPv4Address(text)
    except ValueError:
        return False
    return address in cidr and address not in {cidr[0], cidr[-1]}


def _address(name: str, taken: Taken, cidr: IPv4Network) -> str:
    """The first free address from the name's hash on; the static band is used last."""
    usable = cidr.num_addresses - 2
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
