"""API objects in memory: resourceVersion, transactions, snapshots, watch by callback.

A snapshot is an immutable view that costs nothing to take, and a transaction costs what it writes: the
versions of a kind's table share the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar, cast

from testbed.errors import NotFound, TestbedError
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object, name_of, with_meta
from testbed.shared_map import Mutation, SharedMap

Key = tuple[str, str]
"""(namespace, name)."""

T = TypeVar("T", bound=Object)

_NOTHING: SharedMap[Key, Object] = SharedMap()


class Conflict(TestbedError):
    """A write was based on an older version of the object: read it again and decide again."""


class AlreadyExists(TestbedError):
    """An object of that kind and name is there already."""


@dataclass(frozen=True, slots=True)
class Create:
    """Add an object that must not exist."""

    object: Object


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object. Raises Conflict where `meta.resource_version` is set and stale."""

    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove an object at once (graceful deletion of a pod is an Update that sets `deletion_s`).

    With `uid`, only that very object is removed: gone or replaced counts as done.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""


Write = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Change:
    """One write as a watcher sees it: `previous` is None when added, `object` the last state.

    `written_s` is the store's clock; it is no part of the value.
    """

    type: str
    """ADDED, MODIFIED or DELETED."""
    object: Object
    previous: Object | None
    resource_version: int
    written_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state at one resourceVersion. Snapshots share objects: compare with `is`."""

    resource_version: int
    tables: Mapping[str, SharedMap[Key, Object]]
    """Kind -> its objects, in order of their creation."""

    def get(self, kind: type[T], namespace: str, name: str) -> T | None:
        """The object, or None. Objects without a namespace have namespace ""."""
        return self.of(kind).get((namespace, name))

    def of(self, kind: type[T]) -> SharedMap[Key, T]:
        """The objects of a kind."""
        return cast("SharedMap[Key, T]", self.tables.get(kind.kind, _NOTHING))

    def list(self, kind: type[T], namespace: str | None = None) -> Iterator[T]:
        """All objects of a kind (of one namespace), in order of their creation."""
        for key, item in self.of(kind).items():
            if namespace is None or key[0] == namespace:
                yield item

    def slices_by_service(self) -> dict[Key, tuple[EndpointSlice, ...]]:
        """EndpointSlices of each service, by the service's (namespace, name)."""
        found: dict[Key, tuple[EndpointSlice, ...]] = {}
        for item in self.list(EndpointSlice):
            found[item.service] = (*found.get(item.service, ()), item)
        return found


Watcher = Callable[[tuple[Change, ...]], None]


class Store:
    """The one place that cluster state is written. Not thread-safe: one thread owns it.

    `now_s` stamps creation times; `identity` seeds the uids, so that equal histories
    give equal uids.
    """

    def __init__(self, now_s: Callable[[], float], identity: str = "testbed") -> None:
        self._now_s = now_s
        self._identity = uuid.uuid5(uuid.NAMESPACE_DNS, identity)
        self._tables: dict[str, SharedMap[Key, Object]] = {}
        self._written: dict[str, Mutation[Key, Object]] = {}
        """The tables that the transaction under way writes to."""
        self._version = 0
        self._watchers: dict[int, Watcher] = {}
        self._next_watcher = 0

    @property
    def resource_version(self) -> int:
        return self._version

    def snapshot(self) -> Snapshot:
        """The state as it is now; later writes do not show in it."""
        return Snapshot(self._version, MappingProxyType(dict(self._tables)))

    def get(self, kind: type[T], namespace: str, name: str) -> T:
        """The object as it is now. Raises NotFound."""
        item = self._tables.get(kind.kind, _NOTHING).get((namespace, name))
        if item is None:
            where = f"{namespace}/{name}" if namespace else name
            raise NotFound(f"no {kind.kind} {where}")
        return cast(T, item)

    def list(self, kind: type[T], namespace: str | None = None) -> tuple[T, ...]:
        """All objects of a kind as they are now."""
        return tuple(
            cast(T, item)
            for key, item in self._tables.get(kind.kind, _NOTHING).items()
            if namespace is None or key[0] == namespace
        )

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with each transaction's changes once it is done; returns the cancel."""
        handle = self._next_watcher
        self._next_watcher += 1
        self._watchers[handle] = watcher
        return lambda: self._watchers.pop(handle, None) and None

    def apply(self, writes: Iterable[Write]) -> tuple[Change, ...]:
        """Write all or nothing, each write one resourceVersion; returns what changed.

        An Update that changes nothing is no write. Raises Conflict, AlreadyExists or NotFound, and
        then nothing has changed.
        """
        before = self._version
        changes: list[Change] = []
        try:
            for write in writes:
                change = self._apply_one(write)
                if change is not None:
                    changes.append(change)
        except BaseException:
            self._written.clear()
            self._version = before
            raise
        self._tables |= {kind: written.finish() for kind, written in self._written.items()}
        self._written.clear()
        done = tuple(changes)
        if done:
            for watcher in tuple(self._watchers.values()):
                watcher(done)
        return done

    def imagine(self, writes: Iterable[Write]) -> tuple[Change, ...]:
        """What `apply` would change; nothing is written, and nobody told. Raises as `apply`."""
        before = self._version
        try:
            changes = [self._apply_one(write) for write in writes]
        finally:
            self._written.clear()
            self._version = before
        return tuple(change for change in changes if change is not None)

    def _writable(self, kind: str) -> Mutation[Key, Object]:
        if kind not in self._written:
            self._written[kind] = self._tables.get(kind, _NOTHING).mutate()
        return self._written[kind]

    def _apply_one(self, write: Write) -> Change | None:
        if isinstance(write, Delete):
            return self._delete(write)
        item = write.object
        kind, key = item.kind, (item.meta.namespace, item.meta.name)
        table = self._writable(kind)
        current = table.get(key)
        stamps: dict[str, Any]
        if isinstance(write, Create):
            if current is not None:
                raise AlreadyExists(f"{kind} {name_of(item)} exists already")
            version = self._version + 1
            uid = item.meta.uid or str(uuid.uuid5(self._identity, f"{kind}/{key}/{version}"))
            stamps = {"uid": uid, "creation_s": self._now_s()}
            if _asked_for(item):
                stamps["generation"] = 1
        else:
            if current is None:
                raise NotFound(f"no {kind} {name_of(item)} to update")
            based_on = item.meta.resource_version
            if based_on and based_on != current.meta.resource_version:
                raise Conflict(
                    f"{kind} {name_of(item)} is at version {current.meta.resource_version}, "
                    f"the write was based on {based_on}"
                )
            stamps = {"uid": current.meta.uid, "creation_s": current.meta.creation_s}
            if _asked_for(item):
                stamps["generation"] = current.meta.generation + _asks_otherwise(item, current)
            unchanged = with_meta(item, resource_version=current.meta.resource_version, **stamps)
            if unchanged == current:
                return None
        self._version += 1
        stored = with_meta(item, resource_version=self._version, **stamps)
        table[key] = stored
        kind_of_change = "ADDED" if current is None else "MODIFIED"
        return Change(kind_of_change, stored, current, self._version, self._now_s())

    def _delete(self, write: Delete) -> Change | None:
        key = (write.namespace, write.name)
        table = self._writable(write.kind)
        current = table.get(key)
        if current is None or (write.uid and current.meta.uid != write.uid):
            if write.uid:
                return None
            raise NotFound(f"no {write.kind} {'/'.join(filter(None, key))} to delete")
        self._version += 1
        del table[key]
        return Change("DELETED", current, current, self._version, self._now_s())


def _asked_for(item: Object) -> tuple[str, ...]:
    """The fields that say what is asked for, of a kind whose generation counts their changes."""
    return getattr(item, "asked_for", ())


def _asks_otherwise(item: Object, current: Object) -> bool:
    return item.meta.rest.get("spec") != current.meta.rest.get("spec") or any(
        getattr(item, name) != getattr(current, name) for name in _asked_for(item)
    )
