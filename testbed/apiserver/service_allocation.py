"""Cluster addresses and node ports for a service that a client writes, refused in Kubernetes' words.

Source: `pkg/registry/core/service/storage/alloc.go` and the two allocators beside it. What is free is drawn as
in `model.allocation`; a node port belongs to one service, whatever the protocol.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from testbed.apiserver.failure import ApiFailure, Cause, internal_error, invalid
from testbed.apiserver.resources import of_kind
from testbed.apiserver.validation.place import shown
from testbed.errors import OutOfTimeOrRoom
from testbed.ip import FAMILY_NAMES, IPNetwork, family_of
from testbed.model.allocation import (
    NODE_PORTS,
    Taken,
    drawn_address,
    has_node_ports,
    is_address_of,
    needs_health_check,
)
from testbed.model.objects.metadata import name_of
from testbed.model.objects.services import Service, ServicePort
from testbed.model.service_families import PREFER, REQUIRE, SINGLE, with_families

_PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True)
class Pool:
    """What there is to give, and what other services have of it."""

    taken: Taken
    ranges: tuple[IPNetwork, ...]
    """The service ranges, those of the primary family first."""
    node_ports: tuple[int, int] = NODE_PORTS

    def families(self) -> tuple[str, ...]:
        """IP families that have a range."""
        return tuple(dict.fromkeys(FAMILY_NAMES[one.version] for one in self.ranges))

    def of_family(self, family: str) -> Iterator[IPNetwork]:
        """The ranges of one family."""
        return (one for one in self.ranges if FAMILY_NAMES[one.version] == family)

    def owner(self, node_port: int) -> str:
        """The service that has a node port, or ""."""
        ports = self.taken.node_ports
        return next((ports[node_port, one] for one in _PROTOCOLS if (node_port, one) in ports), "")


def allocated(service: Service, pool: Pool) -> Service:
    """The service with its families, addresses and node ports. Raises ApiFailure: 422 for what it asks for and
    cannot have, 500 where nothing is left.
    """
    if service.type == "ExternalName":
        return service
    service = _with_families(service, pool)
    if not service.headless:
        service = _with_addresses(service, pool)
    if has_node_ports(service):
        service = replace(service, ports=_with_node_ports(service, pool))
    if needs_health_check(service):
        return replace(service, health_check_node_port=_health_check_port(service, pool))
    return service


# IP families


def _with_families(service: Service, pool: Pool) -> Service:
    unmanaged = service.headless and not service.selector
    policy = service.ip_family_policy or (REQUIRE if unmanaged else SINGLE)
    known = pool.families()
    causes: list[Cause] = []
    if policy == SINGLE:
        causes += _too_many_for_one(service)
    families = list(service.ip_families)
    for index, ip in enumerate(service.cluster_ips):
        if ip == "None" or index < len(families):
            continue
        family = FAMILY_NAMES[family_of(ip)]
        if family not in known:
            what = f"{family} is not configured on this cluster"
            causes.append(_cause(f"spec.clusterIPs[{index}]", service.cluster_ips, what))
        families.append(family)
    if not unmanaged and not causes:
        causes += _unknown_families(policy, families, known)
    if causes:
        raise _invalid(service, *causes)
    asked = replace(service, ip_families=tuple(families), ip_family_policy=policy)
    firsts = [next(pool.of_family(family)) for family in known]
    return with_families(asked, firsts)


def _too_many_for_one(service: Service) -> Iterator[Cause]:
    must = f"must be '{REQUIRE}' or '{PREFER}' when multiple {{}} are specified"
    if len(service.cluster_ips) > 1:
        yield _cause("spec.ipFamilyPolicy", SINGLE, must.format("cluster IPs"))
    if len(service.ip_families) > 1:
        yield _cause("spec.ipFamilyPolicy", SINGLE, must.format("IP families"))


def _unknown_families(
    policy: str, families: Sequence[str], known: Sequence[str]
) -> Iterator[Cause]:
    if policy == REQUIRE and len(known) < 2:
        what = "this cluster is not configured for dual-stack services"
        yield _cause("spec.ipFamilyPolicy", policy, what)
    for index, family in enumerate(families):
        if family not in known:
            yield _cause(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")


# Cluster addresses


def _with_addresses(service: Service, pool: Pool) -> Service:
    found = []
    for index, family in enumerate(service.ip_families):
        if index < len(service.cluster_ips):
            found.append(_asked_address(service, service.cluster_ips[index], family, pool))
        else:
            found.append(_free_address(service, family, pool))
    return replace(service, cluster_ips=tuple(found))


def _asked_address(service: Service, text: str, family: str, pool: Pool) -> str:
    ip = str(ip_address(text))
    ranges = list(pool.of_family(family))
    if not any(is_address_of(ip, one) for one in ranges):
        listed = ",".join(map(str, ranges))
        why = (
            f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {listed}"
        )
    elif pool.taken.addresses.get(ip, name_of(service)) != name_of(service):
        why = "provided IP is already allocated"
    else:
        return ip
    what = f"failed to allocate IP {ip}: {why}"
    raise _invalid(service, _cause("spec.clusterIPs", service.cluster_ips, what))


def _free_address(service: Service, family: str, pool: Pool) -> str:
    for one in pool.of_family(family):
        try:
            return drawn_address(name_of(service), pool.taken, one)
        except OutOfTimeOrRoom:
            continue
    raise internal_error("failed to allocate a serviceIP: range is full")


# Node ports


def _with_node_ports(service: Service, pool: Pool) -> tuple[ServicePort, ...]:
    """One port number of two protocols gets one node port, where nothing else is asked for."""
    asked = {port.node_port for port in service.ports if port.node_port}
    by_port = {port.port: port.node_port for port in reversed(service.ports) if port.node_port}
    found: list[ServicePort] = []
    for index, port in enumerate(service.ports):
        number = port.node_port or by_port.get(port.port, 0)
        if (number, port.protocol) in {(one.node_port, one.protocol) for one in found}:
            number = port.node_port
        if port.node_port:
            _check_node_port(service, f"spec.ports[{index}].nodePort", number, pool)
        elif not number:
            number = _free_node_port(f"{name_of(service)}/{port.name}/{port.port}", asked, pool)
        asked.add(number)
        by_port.setdefault(port.port, number)
        found.append(replace(port, node_port=number))
    return tuple(found)


def _check_node_port(service: Service, field: str, number: int, pool: Pool) -> None:
    low, high = pool.node_ports
    if not low <= number <= high:
        what = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
    elif pool.owner(number) not in {"", name_of(service)}:
        what = "provided port is already allocated"
    else:
        return
    raise _invalid(service, _cause(field, number, what))


def _free_node_port(seed: str, asked: set[int], pool: Pool) -> int:
    low, high = pool.node_ports
    room = high - low + 1
    start = zlib.crc32(seed.encode()) % room
    for step in range(room):
        number = low + (start + step) % room
        if number not in asked and not pool.owner(number):
            return number
    raise internal_error("failed to allocate a nodePort: range is full")


def _health_check_port(service: Service, pool: Pool) -> int:
    number, own = service.health_check_node_port, {port.node_port for port in service.ports}
    if not number:
        return _free_node_port(f"{name_of(service)}/healthCheckNodePort", own, pool)
    if number in own or pool.owner(number) not in {"", name_of(service)}:
        why = "provided port is already allocated"
        raise internal_error(f"failed to allocate requested HealthCheck NodePort {number}: {why}")
    _check_node_port(service, "spec.healthCheckNodePort", number, pool)
    return number


def _cause(field: str, value: object, what: str) -> Cause:
    plain = list(value) if isinstance(value, tuple) else value
    return Cause("FieldValueInvalid", f"Invalid value: {shown(plain)}: {what}", field)


def _invalid(service: Service, *causes: Cause) -> ApiFailure:
    return invalid(of_kind("Service"), service.meta.name, causes)
