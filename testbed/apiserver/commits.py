"""The store as requests that write see it: who is there, which name is free, and the write itself."""

from __future__ import annotations

from testbed.apiserver.failure import already_exists, no_name_left, not_found
from testbed.apiserver.ledger import Ledger
from testbed.apiserver.presented import Face
from testbed.apiserver.resources import Json, Resource
from testbed.apiserver.service_allocation import allocated
from testbed.apiserver.stored import beside, outcome
from testbed.controllers.name_hash import name_hash
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service
from testbed.store import Snapshot, Store, Write

_LONGEST_PREFIX = 58
"""Of a generated name, which has 63 characters at most."""
_ATTEMPTS = 8
"""At a name that nobody has, as in Kubernetes."""


class Commits:
    """To one store. What cannot be is raised as ApiFailure."""

    def __init__(self, store: Store, face: Face) -> None:
        self._store = store
        self._ledger = Ledger(face.service_cidrs)

    @property
    def resource_version(self) -> int:
        return self._store.resource_version

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        return self._store.snapshot()

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        table = self._store.snapshot().tables.get(resource.stored)
        return table.get((namespace if resource.namespaced else "", name)) if table else None

    def existing(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object, which has to be there (404)."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def named(self, resource: Resource, metadata: Json) -> Json:
        """Metadata with a name that nobody has (409), where the client leaves it to the server."""
        name, namespace = metadata.get("name"), metadata.get("namespace", "")
        if name:
            if self.find(resource, namespace, name) is not None:
                raise already_exists(resource, name)
            return metadata
        prefix = metadata.get("generateName") or ""
        for attempt in range(_ATTEMPTS if prefix else 0):
            seed = (prefix, self._store.resource_version, attempt)
            name = prefix[:_LONGEST_PREFIX] + name_hash(seed, 5)
            if self.find(resource, namespace, name) is None:
                return {**metadata, "name": name}
        if prefix:
            raise no_name_left(resource, str(name))
        return metadata

    def allocated(self, item: Object) -> Object:
        """The object with its addresses and node ports, if it is a service (422, 500)."""
        if isinstance(item, Service):
            return allocated(item, self._ledger.pool(self._store.snapshot()))
        return item

    def do(self, write: Write, *, dry_run: bool) -> Object:
        """The object as it is after the write, which is only tried in a dry run."""
        before = self._store.snapshot()
        writes = [write, *beside(write, before)]
        changes = self._store.imagine(writes) if dry_run else self._store.apply(writes)
        return outcome(write, changes, before)
