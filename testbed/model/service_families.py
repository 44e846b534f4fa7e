"""Which IP families a service has: `ipFamilies` and `ipFamilyPolicy`, completed and checked as the API server
does it (KEP-563).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from testbed.ip import FAMILY_NAMES, IPNetwork, family_of
from testbed.model.fields import Mistake
from testbed.model.objects.services import Service

SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
_OTHER = {"IPv4": "IPv6", "IPv6": "IPv4"}


def with_families(service: Service, service_cidrs: Sequence[IPNetwork]) -> Service:
    """The service with its families and its policy, as the cluster's service ranges allow.

    An ExternalName service has none. What is contradictory stays so: `family_mistakes` finds it.
    """
    if service.type == "ExternalName":
        return service
    cluster = [FAMILY_NAMES[network.version] for network in service_cidrs]
    asked = service.ip_families or _families_of_addresses(service) or tuple(cluster[:1])
    policy = service.ip_family_policy or _default_policy(service, asked)
    if policy != SINGLE and len(asked) == 1:
        other = _OTHER[asked[0]]
        # Endpoints that somebody else manages may be of both families, whatever the cluster has.
        if other in cluster or _unmanaged(service):
            asked = (*asked, other)
    return replace(service, ip_families=asked, ip_family_policy=policy)


def family_mistakes(service: Service, service_cidrs: Sequence[IPNetwork]) -> Iterator[Mistake]:
    """What is wrong with the families and the policy that a service asks for; paths below `spec`."""
    if service.type == "ExternalName":
        for key, value in (
            ("ipFamilies", service.ip_families),
            ("ipFamilyPolicy", service.ip_family_policy),
        ):
            if value:
                yield Mistake((key,), "an ExternalName service has no IP family", "leave it out")
        return
    found = with_families(service, service_cidrs)
    cluster = {FAMILY_NAMES[network.version] for network in service_cidrs}
    addresses = _families_of_addresses(service)
    missing = [family for family in found.ip_families if family not in cluster]
    if missing and not _unmanaged(service):
        # Where nobody names the family, it is that of an address, which is none of serviceCIDR.
        if service.ip_families:
            message = f"the cluster has no {missing[0]} service addresses"
            yield Mistake(("ipFamilies",), message, "give network.serviceCIDR one network of each")
    elif found.ip_family_policy == REQUIRE and len(found.ip_families) < 2:
        message = "the cluster has service addresses of one IP family only"
        hint = "use PreferDualStack, or give network.podCIDR one network of each"
        yield Mistake(("ipFamilyPolicy",), message, hint)
    if found.ip_family_policy == SINGLE and max(len(found.ip_families), len(addresses)) > 1:
        message = "a SingleStack service has one IP family"
        yield Mistake(("ipFamilyPolicy",), message, "use PreferDualStack or RequireDualStack")
    elif any(one != other for one, other in zip(addresses, found.ip_families, strict=False)):
        wanted = " then ".join(found.ip_families)
        yield Mistake((_address_key(service),), f"must be {wanted}, as ipFamilies says")
    elif len(addresses) > len(set(addresses)):
        yield Mistake((_address_key(service),), "one address per IP family")


def _address_key(service: Service) -> str:
    return "clusterIPs" if len(service.cluster_ips) > 1 else "clusterIP"


def _families_of_addresses(service: Service) -> tuple[str, ...]:
    return tuple(FAMILY_NAMES[family_of(ip)] for ip in service.cluster_ips if ip != "None")


def _default_policy(service: Service, families: Sequence[str]) -> str:
    return REQUIRE if _unmanaged(service) or len(families) > 1 else SINGLE


def _unmanaged(service: Service) -> bool:
    """Headless without a selector: its endpoints are nobody's business here."""
    return service.headless and not service.selector
