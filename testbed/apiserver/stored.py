"""From a whole document to the store's object, and what has to be written along with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from testbed.apiserver import event_forms
from testbed.apiserver.failure import Cause, invalid
from testbed.apiserver.resources import Json, Resource
from testbed.apiserver.rules import rules_of
from testbed.model.documents import IPAddress
from testbed.model.ip_addresses import addresses_of, ip_address_object
from testbed.model.manifest import ManifestError, from_client, to_manifest
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.services import Service
from testbed.store import Change, Create, Delete, Snapshot, Write


def item_of(resource: Resource, document: Json, current: Object | None = None) -> Object:
    """The object that a document describes, with what `current` has that documents do not say.
    Raises ApiFailure (422).
    """
    if resource.group == event_forms.GROUP:
        document = event_forms.inward(document)
    if current is not None:
        document = {**document, "testbed": to_manifest(current).get("testbed", {})}
    try:
        item = from_client(document)
    except ManifestError as error:
        name = document["metadata"].get("name", "")
        raise invalid(resource, name, list(map(_cause, error.mistakes))) from error
    if current is None:
        return with_meta(item, generation=1) if rules_of(resource.kind).counted else item
    changes: dict[str, Any] = {"resource_version": current.meta.resource_version}
    if rules_of(resource.kind).counted:
        changes["generation"] = current.meta.generation + _asks_otherwise(resource, item, current)
    return with_meta(item, **changes)


def _cause(mistake: Any) -> Cause:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in mistake.path)
    return Cause("FieldValueInvalid", f"Invalid value: {mistake.message}", path.lstrip("."))


def _asks_otherwise(resource: Resource, item: Object, current: Object) -> bool:
    now, before = to_manifest(item), to_manifest(current)
    return any(now.get(key) != before.get(key) for key in rules_of(resource.kind).counted)


def beside(write: Write, snapshot: Snapshot) -> Iterator[Write]:
    """What is written along: the addresses of a service are objects, too."""
    before, now = _before(write, snapshot), None if isinstance(write, Delete) else write.object
    old = addresses_of(before) if isinstance(before, Service) else ()
    new = addresses_of(now) if isinstance(now, Service) else ()
    for ip in old:
        if ip not in new and snapshot.get(IPAddress, "", ip) is not None:
            yield Delete(IPAddress.kind, "", ip)
    if isinstance(now, Service):
        for ip in new:
            if snapshot.get(IPAddress, "", ip) is None:
                yield Create(ip_address_object(ip, now))


def _before(write: Write, snapshot: Snapshot) -> Object | None:
    kind, key = _key(write)
    table = snapshot.tables.get(kind)
    return table.get(key) if table else None


def _key(write: Write) -> tuple[str, tuple[str, str]]:
    if isinstance(write, Delete):
        return write.kind, (write.namespace, write.name)
    meta = write.object.meta
    return write.object.kind, (meta.namespace, meta.name)


def outcome(write: Write, changes: Iterable[Change], snapshot: Snapshot) -> Object:
    """The object as the write left it, or, deleted, as it was; `snapshot` is of before."""
    wanted = _key(write)
    for change in changes:
        meta = change.object.meta
        if (change.object.kind, (meta.namespace, meta.name)) == wanted:
            return change.object
    found = _before(write, snapshot)
    assert found is not None, "only an update can change nothing"
    return found
