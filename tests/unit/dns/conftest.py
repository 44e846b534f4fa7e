"""A running server, and objects to serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL, Endpoint, EndpointSlice
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from tests.unit.dns.running import RunningServer, running_server


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """Listening, but not in sync yet."""
    with running_server() as running:
        yield running


@pytest.fixture
def web() -> Service:
    return Service(
        ObjectMeta("web", "default"), cluster_ips=("10.96.1.1",), ports=(ServicePort(80),)
    )


@pytest.fixture
def pets() -> Callable[[int], tuple[Object, ...]]:
    """A headless service with so many endpoints."""

    def make(count: int) -> tuple[Object, ...]:
        endpoints = tuple(Endpoint((f"10.244.0.{n}",)) for n in range(1, count + 1))
        meta = ObjectMeta("pets-1", "default", labels={SERVICE_NAME_LABEL: "pets"})
        ports = (ServicePort(80),)
        service = Service(ObjectMeta("pets", "default"), cluster_ips=("None",), ports=ports)
        return service, EndpointSlice(meta, endpoints)

    return make
