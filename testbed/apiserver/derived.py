"""Objects that a lab without API clients does not store, and that others' proxies ask for all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from testbed.apiserver.endpoints import endpoints
from testbed.apiserver.presented import Face
from testbed.apiserver.resources import Json
from testbed.store import Snapshot

DEFAULT_NAMESPACES = ("default", "kube-system")


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


DERIVED: Mapping[str, Callable[[Snapshot, Face], Iterable[Json]]] = {
    "Namespace": _namespaces,
    "Endpoints": _endpoints,
    "ServiceCIDR": _service_cidrs,
}
