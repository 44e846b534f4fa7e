"""What names are made of: services and their endpoints, kept up to date change by change."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.objects import Endpoint, EndpointSlice, Object, Service

Key = tuple[str, str]
"""(namespace, name)."""


class NameTable:
    """Services and endpoints of a cluster, by name; an update costs O(the object), not O(cluster).

    Other kinds of objects pass through without effect. `resource_version` is the store's version
    that the table has reached; it is the zone's serial.
    """

    def __init__(self, domain: str = "cluster.local") -> None:
        self.domain = domain.rstrip(".").lower()
        self.resource_version = 0
        self._services: dict[Key, Service] = {}
        self._in_namespace: dict[str, int] = {}
        self._slices: dict[Key, EndpointSlice] = {}
        self._slices_of: dict[Key, dict[Key, EndpointSlice]] = {}

    def put(self, item: Object) -> None:
        """Add an object, or replace the one of its kind and name."""
        key = (item.meta.namespace, item.meta.name)
        if isinstance(item, Service):
            if key not in self._services:
                self._in_namespace[key[0]] = self._in_namespace.get(key[0], 0) + 1
            self._services[key] = item
        elif isinstance(item, EndpointSlice):
            self.remove(item)  # its label may name another service now
            self._slices[key] = item
            self._slices_of.setdefault(item.service, {})[key] = item

    def remove(self, item: Object) -> None:
        """Take an object out; no error where it is not there."""
        key = (item.meta.namespace, item.meta.name)
        if isinstance(item, Service) and key in self._services:
            del self._services[key]
            self._in_namespace[key[0]] -= 1
            if not self._in_namespace[key[0]]:
                del self._in_namespace[key[0]]
        elif isinstance(item, EndpointSlice) and (known := self._slices.pop(key, None)):
            siblings = self._slices_of[known.service]
            del siblings[key]
            if not siblings:
                del self._slices_of[known.service]

    def change(self, kind_of_change: str, item: Object) -> None:
        """Apply a change as a watch tells it: ADDED, MODIFIED or DELETED."""
        if kind_of_change == "DELETED":
            self.remove(item)
        else:
            self.put(item)

    def has_namespace(self, namespace: str) -> bool:
        """Whether any service lives there: namespaces without one have no names."""
        return namespace in self._in_namespace

    def service(self, namespace: str, name: str) -> Service | None:
        return self._services.get((namespace, name))

    def published(self, service: Service) -> Iterator[Endpoint]:
        """Endpoints that have an address record: the ready ones; all where the service says so."""
        slices = self._slices_of.get((service.meta.namespace, service.meta.name), {})
        for _, item in sorted(slices.items()):
            for endpoint in item.endpoints:
                if endpoint.ready or service.publish_not_ready_addresses:
                    yield endpoint
