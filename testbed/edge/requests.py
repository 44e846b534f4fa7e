"""What a service of type LoadBalancer asks of the pools. Sources: MetalLB, controller/service.go and
internal/allocator/k8salloc; KEP-1860 (ipMode is the provider's).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from testbed.ip import FAMILY_NAMES, IPAddress
from testbed.model.load_balancer import ANNOTATIONS, asked_by
from testbed.model.objects.services import Service


class Refused(Exception):
    """No address can be given; the text is for the service's Event."""


@dataclass(frozen=True, slots=True)
class Request:
    """Of one service."""

    key: str
    """namespace/name."""
    families: tuple[int, ...]
    """One address each, in this order."""
    any_family: bool
    """PreferDualStack: one family is enough where a pool has no other."""
    addresses: tuple[IPAddress, ...]
    """These and no others; (): any."""
    pool: str
    """"": any that gives addresses out by itself."""
    sharing_key: str
    """Services with one key may have one address, on different ports."""
    ports: frozenset[tuple[str, int]]
    backends: str
    """Whom its address leads to, for services that share: with policy Local they must be the same pods."""


def request(service: Service) -> Request:
    """Raises Refused where what it asks for contradicts itself."""
    families = tuple(4 if one == FAMILY_NAMES[4] else 6 for one in service.ip_families)
    wanted = _addresses(service)
    if wanted and sorted({one.version for one in wanted}) != sorted(families):
        told = ", ".join(map(str, wanted))
        raise Refused(
            f"requested loadBalancer IP(s) {told} does not match the ipFamily of the service"
        )
    local = service.external_traffic_policy == "Local"
    return Request(
        key=f"{service.meta.namespace}/{service.meta.name}",
        families=families,
        any_family=service.ip_family_policy == "PreferDualStack",
        addresses=wanted,
        pool=asked_by(service.meta.annotations, "address-pool"),
        sharing_key=asked_by(service.meta.annotations, "allow-shared-ip"),
        ports=frozenset((port.protocol, port.port) for port in service.ports),
        backends=repr(sorted(service.selector.items())) if local else "cluster",
    )


def _addresses(service: Service) -> tuple[IPAddress, ...]:
    noted = asked_by(service.meta.annotations, "loadBalancerIPs")
    if noted and service.load_balancer_ip:
        raise Refused(
            f"service can not have both {ANNOTATIONS[0]}/loadBalancerIPs and loadBalancerIP"
        )
    if service.load_balancer_ip:
        noted, where = service.load_balancer_ip, "spec.loadBalancerIP"
    else:
        where = f"{ANNOTATIONS[0]}/loadBalancerIPs"
    try:
        return tuple(ip_address(one.strip()) for one in noted.split(",")) if noted else ()
    except ValueError:
        raise Refused(f"invalid {where} {noted!r}") from None
