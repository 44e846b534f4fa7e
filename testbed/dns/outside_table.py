"""The zone outside a cluster, kept up change by change: who publishes what in it, and the records of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from testbed.dns.outside import Around, OutsideName, of_ingress, of_service, records
from testbed.dns.wire import Record
from testbed.model.documents import Ingress
from testbed.model.manifest import to_manifest
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Change, Key, Snapshot

_Owner = tuple[str, Key]
"""(kind, (namespace, name))."""


class OutsideTable:
    """Of one zone. `ttl_s`: of names that ask for none; `fixed`: names that nobody in the cluster publishes."""

    def __init__(self, zone: str, ttl_s: int, fixed: Iterable[OutsideName] = ()) -> None:
        self._zone = zone
        self._ttl_s = ttl_s
        self._published: dict[_Owner, tuple[OutsideName, ...]] = {("", ("", "")): tuple(fixed)}
        self._resting: set[Key] = set()
        """Services whose names, if they have some, rest on nodes and pods."""
        self.records: dict[str, tuple[Record, ...]] = {}
        """Name in lower case -> its records."""

    def follow(self, changes: Iterable[Change], now: Snapshot) -> Mapping[str, tuple[Record, ...]]:
        """Take in what has led to `now`; the names that have other records, with those (none: they are no
        more). What publishes nothing costs nothing.
        """
        for owner in self._doubtful(changes):
            found = _published(owner, now)
            if found:
                self._published[owner] = found
            else:
                self._published.pop(owner, None)
        names = (one for those in self._published.values() for one in those)
        after, before = records(names, self._zone, self._ttl_s), self.records
        self.records = after
        touched = sorted(after.keys() | before.keys())
        return {
            name: after.get(name, ()) for name in touched if after.get(name) != before.get(name)
        }

    def _doubtful(self, changes: Iterable[Change]) -> set[_Owner]:
        """Those whose names may be others now."""
        found: set[_Owner] = set()
        for change in changes:
            item = change.object
            key = (item.meta.namespace, item.meta.name)
            if isinstance(item, Service | Ingress):
                found.add((item.kind, key))
            if isinstance(item, Service):
                self._note(key, item, is_there=change.type != "DELETED")
            if isinstance(item, Node) and _moved(change):
                found |= {(Service.kind, key) for key in self._resting}
            elif isinstance(item, Pod | EndpointSlice):
                found |= {
                    (Service.kind, key) for key in self._resting if key[0] == item.meta.namespace
                }
        return found

    def _note(self, key: Key, service: Service, *, is_there: bool) -> None:
        rests = service.headless or service.type == "NodePort"
        if is_there and rests and service.meta.annotations:
            self._resting.add(key)
        else:
            self._resting.discard(key)


def _published(owner: _Owner, now: Snapshot) -> tuple[OutsideName, ...]:
    kind, key = owner
    if kind == Service.kind:
        service = now.get(Service, *key)
        return of_service(service, _around(now)) if service is not None else ()
    ingress = now.get(Ingress, *key)
    return of_ingress(to_manifest(ingress)) if ingress is not None else ()


def _moved(change: Change) -> bool:
    """Whether a node has come, gone or changed its addresses: most of its writes are heartbeats."""
    node, before = change.object, change.previous
    if change.type != "MODIFIED" or not (isinstance(node, Node) and isinstance(before, Node)):
        return True
    return before.internal_ips != node.internal_ips


def _around(now: Snapshot) -> Around:
    def pods(service: Service) -> Iterator[Pod]:
        for pod in now.list(Pod, service.meta.namespace) if service.selector else ():
            if service.selector.items() <= pod.meta.labels.items():
                yield pod

    def slices(service: Service) -> Iterator[EndpointSlice]:
        for item in now.list(EndpointSlice, service.meta.namespace):
            if item.service == (service.meta.namespace, service.meta.name):
                yield item

    return Around(lambda: now.list(Node), pods, slices)
