"""EndpointSlices: the pods behind a service, as the proxies hear of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.model.objects.metadata import ObjectMeta

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """The pod behind an endpoint."""

    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod of a slice; conditions follow Kubernetes (`ready` implies serving and not terminating)."""

    addresses: tuple[str, ...]
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node_name: str = ""
    zone: str = ""
    hostname: str = ""
    target: TargetRef | None = None
    for_zones: tuple[str, ...] = ()
    """hints.forZones: who should use it; empty: no hint."""
    for_nodes: tuple[str, ...] = ()
    """hints.forNodes, likewise."""


@dataclass(frozen=True, slots=True)
class EndpointPort:
    port: int
    name: str = ""
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """Endpoints of the service that label `kubernetes.io/service-name` names."""

    kind: ClassVar[str] = "EndpointSlice"
    meta: ObjectMeta
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    address_type: str = "IPv4"

    @property
    def service(self) -> tuple[str, str]:
        """(namespace, name) of its service; the name is "" where the label is missing."""
        return self.meta.namespace, self.meta.labels.get(SERVICE_NAME_LABEL, "")
