"""IPAddress objects: each says which service has a cluster address (KEP-1880)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from testbed.ip import FAMILY_NAMES
from testbed.model.documents import IPAddress
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service

FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"
"""The value of that label where the address was allocated, not claimed by hand."""


def addresses_of(service: Service) -> tuple[str, ...]:
    """The addresses that a service has of the cluster's range."""
    return tuple(ip for ip in service.cluster_ips if ip != "None")


def ip_address_object(ip: str, service: Service) -> IPAddress:
    """The object of one of a service's addresses."""
    address = ip_address(ip)
    labels = {FAMILY_LABEL: FAMILY_NAMES[address.version], MANAGED_BY_LABEL: ALLOCATOR}
    parent = {
        "group": "",
        "resource": "services",
        "namespace": service.meta.namespace,
        "name": service.meta.name,
    }
    rest: dict[str, Any] = {"spec": {"parentRef": parent}}
    return IPAddress(ObjectMeta(str(address), labels=labels, rest=rest))


def parent_of(item: IPAddress) -> tuple[str, str]:
    """(namespace, name) of the service that an address belongs to; empty where it is another's."""
    parent = item.body.get("spec", {}).get("parentRef", {})
    if parent.get("resource") != "services":
        return "", ""
    return parent.get("namespace", ""), parent.get("name", "")
