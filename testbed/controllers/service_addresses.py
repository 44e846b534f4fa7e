"""IPAddress objects of services, and the state of the ranges that the addresses are from.

Source: pkg/registry/core/service/ipallocator/controller/repairip.go; pkg/controller/servicecidrs.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from testbed.controllers.decision import Decision, Reconcile
from testbed.controllers.following import following
from testbed.controllers.object_deletion import removed, without_finalizer
from testbed.model.documents import IPAddress, ServiceCIDR
from testbed.model.ip_addresses import (
    ALLOCATOR,
    MANAGED_BY_LABEL,
    addresses_of,
    ip_address_object,
    parent_of,
)
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.services import Service
from testbed.store import Create, Key, Snapshot, Update, Write

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "",
    "message": "Kubernetes Service CIDR is ready",
}
_IN_USE = {
    "type": "Ready",
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new "
    "ServiceCIDR",
}
_ADDRESSES, _RANGES = "address", "range"


def reconcile(snapshot: Snapshot, now_s: float) -> Decision:
    """Creates the addresses that services have, deletes those that none has; sees ranges out."""
    return remembering()(snapshot, now_s)


def remembering() -> Reconcile:
    """A `reconcile` that remembers the state it was asked about last."""
    return following(_touched, _decide)


def _touched(then: Snapshot, now: Snapshot) -> set[Key]:
    """Addresses and ranges, each under its word."""
    services = now.of(Service).changed_since(then.of(Service)).values()
    ips = {ip for pair in services for one in pair if one is not None for ip in addresses_of(one)}
    ips |= {ip for _, ip in now.of(IPAddress).changed_since(then.of(IPAddress))}
    changed = {name for _, name in now.of(ServiceCIDR).changed_since(then.of(ServiceCIDR))}
    if ips:
        changed |= {
            one.meta.name for one in now.list(ServiceCIDR) if one.meta.deletion_s is not None
        }
    owners = {
        (_ADDRESSES, f"{one.meta.namespace}/{one.meta.name}")
        for pair in services
        for one in pair
        if one is not None
    }
    return owners | {(_ADDRESSES, ip) for ip in ips} | {(_RANGES, name) for name in changed}


def _decide(snapshot: Snapshot, key: Key, now_s: float) -> Decision:
    what, name = key
    if what == _RANGES:
        found = snapshot.get(ServiceCIDR, "", name)
        return ([] if found is None else list(_range(snapshot, found))), None
    if "/" in name:
        namespace, _, service_name = name.partition("/")
        service = snapshot.get(Service, namespace, service_name)
        return ([] if service is None else list(_missing(snapshot, service))), None
    address = snapshot.get(IPAddress, "", name)
    return ([] if address is None else list(_orphaned(snapshot, address))), None


def _missing(snapshot: Snapshot, service: Service) -> Iterator[Write]:
    for ip in addresses_of(service):
        if snapshot.get(IPAddress, "", ip) is None:
            yield Create(ip_address_object(ip, service))


def _orphaned(snapshot: Snapshot, item: IPAddress) -> Iterator[Write]:
    """One that was allocated, and whose service is gone or has it no longer."""
    if item.meta.labels.get(MANAGED_BY_LABEL) != ALLOCATOR:
        return
    service = snapshot.get(Service, *parent_of(item))
    if service is None or item.meta.name not in addresses_of(service):
        yield removed(item)


def _range(snapshot: Snapshot, item: ServiceCIDR) -> Iterator[Write]:
    if item.meta.deletion_s is None:
        after = _saying(item, _READY)
        if FINALIZER not in item.meta.finalizers:
            after = with_meta(after, finalizers=(*item.meta.finalizers, FINALIZER))
        if after != item:
            yield Update(after)
    elif FINALIZER in item.meta.finalizers:
        if not _in_use(snapshot, item):
            yield without_finalizer(item, FINALIZER)
        elif (after := _saying(item, _IN_USE)) != item:
            yield Update(after)


def _saying(item: ServiceCIDR, condition: dict[str, str]) -> ServiceCIDR:
    """The range with a condition Ready like this one, unless it has one with that status."""
    status = item.body.get("status", {})
    others = [one for one in status.get("conditions", ()) if one.get("type") != "Ready"]
    known = [one for one in status.get("conditions", ()) if one.get("type") == "Ready"]
    if any(one.get("status") == condition["status"] for one in known):
        return item
    return with_meta(
        item, rest={**item.body, "status": {**status, "conditions": [*others, condition]}}
    )


def _in_use(snapshot: Snapshot, item: ServiceCIDR) -> bool:
    """Whether there is an address in it that no other range covers."""
    mine = [ip_network(cidr) for cidr in item.body.get("spec", {}).get("cidrs", ())]
    others = [
        ip_network(cidr)
        for one in snapshot.list(ServiceCIDR)
        if one is not item and one.meta.deletion_s is None
        for cidr in one.body.get("spec", {}).get("cidrs", ())
    ]
    return any(
        any(address in network for network in mine)
        and not any(address in network for network in others)
        for address in (ip_address(name) for _, name in snapshot.of(IPAddress))
    )
