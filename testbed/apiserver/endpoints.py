"""v1 Endpoints, which proxies before 1.19 and kube-proxy's own userspace mode watch: from EndpointSlices.

Only the primary family's ready and not ready addresses, as the endpoints controller writes them; terminating
ones are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from testbed.model.documents import Endpoints
from testbed.model.objects import Endpoint, EndpointPort, EndpointSlice, ObjectMeta, Service

Json = dict[str, Any]


def endpoints(service: Service, slices: Iterable[EndpointSlice]) -> Endpoints:
    """A service's, as old as the youngest of what it is made of."""
    family = next(iter(service.ip_families), "IPv4")
    mine = sorted(
        (item for item in slices if item.address_type == family), key=lambda item: item.meta.name
    )
    versions = [service.meta.resource_version, *(item.meta.resource_version for item in mine)]
    meta = ObjectMeta(
        service.meta.name,
        service.meta.namespace,
        labels=service.meta.labels,
        resource_version=max(versions),
        creation_s=service.meta.creation_s,
        rest={"subsets": [subset for item in mine for subset in _subset(item)]},
    )
    return Endpoints(meta)


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
