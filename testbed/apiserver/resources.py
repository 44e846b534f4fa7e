"""What the API serves, and where: one row per resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from testbed.apiserver.endpoints import endpoints
from testbed.model.manifest import to_manifest
from testbed.model.objects import Deployment, EndpointSlice, Node, Object, Pod, Service
from testbed.store import Snapshot

Json = dict[str, Any]
DEFAULT_NAMESPACES = ("default", "kube-system")


@dataclass(frozen=True, slots=True)
class Resource:
    """`items` lists its objects as manifests. `stored` is the store's kind; None: derived from the rest."""

    group: str
    """"" is the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    items: Callable[[Snapshot, Face], Iterable[Json]]
    stored: type[Object] | None = None

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Path of its group and version."""
        return f"/apis/{self.group_version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True, slots=True)
class Face:
    """What the API shows that is not in the store."""

    service_cidrs: tuple[str, ...]
    unix_offset_s: float
    """Wall-clock time at CLOCK_MONOTONIC's zero."""


def presented(item: Object, face: Face) -> Json:
    """An object as clients of Kubernetes expect it."""
    manifest = to_manifest(item)
    manifest.pop("testbed", None)
    manifest["metadata"]["creationTimestamp"] = _wall(item.meta.creation_s, face)
    if item.meta.deletion_s is not None:
        manifest["metadata"]["deletionTimestamp"] = _wall(item.meta.deletion_s, face)
    if isinstance(item, Node):
        addresses = manifest.setdefault("status", {}).setdefault("addresses", [])
        addresses.append({"type": "Hostname", "address": item.meta.name})
    return manifest


def _wall(time_s: float, face: Face) -> str:
    """RFC 3339, to the second."""
    return datetime.fromtimestamp(time_s + face.unix_offset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stored(kind: type[Any]) -> Callable[[Snapshot, Face], Iterable[Json]]:
    def items(snapshot: Snapshot, face: Face) -> Iterable[Json]:
        return (presented(item, face) for item in snapshot.list(kind))

    return items


def _namespaces(snapshot: Snapshot, _face: Face) -> Iterable[Json]:
    used = {namespace for table in snapshot.tables.values() for namespace, _ in table}
    for name in sorted({*DEFAULT_NAMESPACES, *used} - {""}):
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "resourceVersion": "1",
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }


def _service_cidrs(_snapshot: Snapshot, face: Face) -> Iterable[Json]:
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes", "resourceVersion": "1"},
        "spec": {"cidrs": list(face.service_cidrs)},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def _endpoints(snapshot: Snapshot, _face: Face) -> Iterable[Json]:
    return endpoints(snapshot)


RESOURCES = (
    Resource("", "v1", "endpoints", "Endpoints", True, ("ep",), _endpoints),
    Resource("", "v1", "namespaces", "Namespace", False, ("ns",), _namespaces),
    Resource("", "v1", "nodes", "Node", False, ("no",), _stored(Node), Node),
    Resource("", "v1", "pods", "Pod", True, ("po",), _stored(Pod), Pod),
    Resource("", "v1", "services", "Service", True, ("svc",), _stored(Service), Service),
    Resource(
        "apps",
        "v1",
        "deployments",
        "Deployment",
        True,
        ("deploy",),
        _stored(Deployment),
        Deployment,
    ),
    Resource(
        *("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, ()),
        _stored(EndpointSlice),
        EndpointSlice,
    ),
    Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False, (), _service_cidrs),
)
EVENT_ROOTS = ("/api/v1", "/apis/events.k8s.io/v1")
"""Where clients post events; they are noted, and cannot be read back."""
