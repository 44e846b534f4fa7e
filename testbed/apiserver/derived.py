"""Objects that a lab without API clients does not store, and that others' proxies ask for all the same:
namespaces, Endpoints and the ServiceCIDR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.apiserver.presented import Face
from testbed.controllers.service_endpoints import endpoints_of
from testbed.model.documents import Document, Endpoints, Namespace, ServiceCIDR
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.services import Service
from testbed.store import Change, Key, Snapshot

KINDS = frozenset(kind.kind for kind in (Namespace, Endpoints, ServiceCIDR))
DEFAULT_NAMESPACES = ("default", "kube-system")
_READY = {"type": "Ready", "status": "True", "reason": "", "message": ""}
_Table = dict[Key, Document]


class Derived:
    """Follows the changes of what they are derived from."""

    def __init__(self, snapshot: Snapshot, face: Face) -> None:
        self._services: dict[Key, Service] = dict(snapshot.of(Service))
        self._slices: dict[Key, dict[str, EndpointSlice]] = {}
        for item in snapshot.list(EndpointSlice):
            self._slices.setdefault(item.service, {})[item.meta.name] = item
        used = {namespace for table in snapshot.tables.values() for namespace, _ in table}
        names = sorted({*DEFAULT_NAMESPACES, *used} - {""})
        self.tables: dict[str, _Table] = {
            Namespace.kind: {("", name): _namespace(name, 1) for name in names},
            Endpoints.kind: {
                key: self._endpoints(key) for key in self._services if key in self._slices
            },
            ServiceCIDR.kind: {("", "kubernetes"): _service_cidr(face)},
        }
        """Kind -> its objects."""

    def following(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes of these kinds that come with others."""
        for change in changes:
            yield from self._new_namespace(change)
            for key in self._services_of(change):
                yield from self._changed_endpoints(key, change)

    def _new_namespace(self, change: Change) -> Iterator[Change]:
        name, version = change.object.meta.namespace, change.resource_version
        table = self.tables[Namespace.kind]
        if name and ("", name) not in table:
            table["", name] = item = _namespace(name, version)
            yield Change("ADDED", item, None, version)

    def _services_of(self, change: Change) -> set[Key]:
        """Takes up a change of a service or a slice; the services whose Endpoints it concerns."""
        item, gone = change.object, change.type == "DELETED"
        if isinstance(item, Service):
            key = (item.meta.namespace, item.meta.name)
            if gone:
                self._services.pop(key, None)
            else:
                self._services[key] = item
            return {key}
        if not isinstance(item, EndpointSlice):
            return set()
        concerned = {item.service}
        if isinstance(change.previous, EndpointSlice):
            concerned.add(change.previous.service)
            self._slices.get(change.previous.service, {}).pop(item.meta.name, None)
        if not gone:
            self._slices.setdefault(item.service, {})[item.meta.name] = item
        return concerned

    def _changed_endpoints(self, key: Key, change: Change) -> Iterator[Change]:
        table, version = self.tables[Endpoints.kind], change.resource_version
        before = table.get(key)
        if key not in self._services or not self._slices.get(key):
            if before is not None:
                del table[key]
                yield Change("DELETED", before, before, version)
            return
        now = with_meta(self._endpoints(key), resource_version=version)
        same = before is not None and now == with_meta(before, resource_version=version)
        if not same:
            table[key] = now
            yield Change("ADDED" if before is None else "MODIFIED", now, before, version)

    def _endpoints(self, key: Key) -> Endpoints:
        """As old as the youngest of what it is made of."""
        service, slices = self._services[key], self._slices[key].values()
        versions = [item.meta.resource_version for item in slices]
        return with_meta(
            endpoints_of(service, slices),
            resource_version=max(service.meta.resource_version, *versions),
            creation_s=service.meta.creation_s,
        )


def _namespace(name: str, resource_version: int) -> Namespace:
    rest = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    labels = {"kubernetes.io/metadata.name": name}
    return Namespace(ObjectMeta(name, labels=labels, resource_version=resource_version, rest=rest))


def _service_cidr(face: Face) -> ServiceCIDR:
    rest = {
        "spec": {"cidrs": list(face.service_cidrs)},
        "status": {"conditions": [_READY]},
    }
    return ServiceCIDR(ObjectMeta("kubernetes", resource_version=1, rest=rest))
