"""v1 Endpoints, which proxies before 1.19 and kube-proxy's own userspace mode watch: from EndpointSlices.

Only the primary family's ready and not ready addresses, as the endpoints controller writes them; terminating
ones are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from testbed.model.objects import Endpoint, EndpointPort, EndpointSlice, Service
from testbed.store import Snapshot

Json = dict[str, Any]


def endpoints(snapshot: Snapshot) -> Iterator[Json]:
    """One object per service that has slices."""
    for (namespace, name), slices in snapshot.slices_by_service().items():
        service = snapshot.get(Service, namespace, name)
        if service is not None:
            yield _endpoints(service, slices)


def _endpoints(service: Service, slices: Iterable[EndpointSlice]) -> Json:
    family = next(iter(service.ip_families), "IPv4")
    mine = sorted(
        (item for item in slices if item.address_type == family), key=lambda item: item.meta.name
    )
    versions = [service.meta.resource_version, *(item.meta.resource_version for item in mine)]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "namespace": service.meta.namespace,
            "name": service.meta.name,
            "labels": dict(service.meta.labels),
            "resourceVersion": str(max(versions)),
        },
        "subsets": [subset for item in mine for subset in _subset(item)],
    }


def _subset(item: EndpointSlice) -> Iterator[Json]:
    alive = [one for one in item.endpoints if one.addresses and not one.terminating]
    subset: Json = {}
    for key, wanted in (("addresses", True), ("notReadyAddresses", False)):
        found = [_address(one) for one in alive if one.ready is wanted]
        if found:
            subset[key] = found
    if subset:
        yield {**subset, "ports": [_port(port) for port in item.ports]}


def _address(endpoint: Endpoint) -> Json:
    address: Json = {"ip": endpoint.addresses[0]}
    if endpoint.node_name:
        address["nodeName"] = endpoint.node_name
    if endpoint.target is not None:
        target = endpoint.target
        address["targetRef"] = {"kind": "Pod", "namespace": target.namespace, "name": target.name}
    return address


def _port(port: EndpointPort) -> Json:
    return {"name": port.name, "port": port.port, "protocol": port.protocol}
