"""The endpoints of a service's port as servers of a proxy that dials them itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.edge.haproxy_text import Server
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.services import Service, ServicePort


def servers(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], families: tuple[int, ...]
) -> tuple[Server, ...]:
    """Ready ones, and those that end and still serve, which get nothing new; each once, in order.

    `families`: which a proxy has addresses of. Of a service with both it is the service's first one.
    """
    mine = [one for one in slices if one.address_type in {f"IPv{number}" for number in families}]
    types = [one for one in service.ip_families if any(s.address_type == one for s in mine)]
    first = types[0] if types else next((one.address_type for one in mine), "")
    found: dict[tuple[str, int], Server] = {}
    for item in mine:
        if item.address_type == first:
            for server in _of_slice(item, port):
                found.setdefault((server.address, server.port), server)
    return tuple(found[key] for key in sorted(found))


def _of_slice(item: EndpointSlice, port: ServicePort) -> Iterator[Server]:
    numbers = [one.port for one in item.ports if (one.name, one.protocol) == (port.name, "TCP")]
    for number in numbers:
        for endpoint in item.endpoints:
            if endpoint.addresses and (endpoint.ready or _ends(endpoint)):
                state = "ready" if endpoint.ready else "drain"
                yield Server(endpoint.addresses[0], number, state)  # type: ignore[arg-type]


def _ends(endpoint: Endpoint) -> bool:
    return endpoint.serving and endpoint.terminating
