"""The objects that a server answers with: those of the store, what has changed of them, and what is derived."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from testbed.apiserver.derived import KINDS as DERIVED_KINDS
from testbed.apiserver.derived import Derived
from testbed.apiserver.history import Histories, History
from testbed.apiserver.listing import State
from testbed.apiserver.presented import Face
from testbed.model.objects.metadata import Object
from testbed.shared_map import SharedMap
from testbed.store import Change, Key, Snapshot, Watcher

_NOTHING: SharedMap[Key, Object] = SharedMap()
_FEW = 500
"""Changes after which keys are not sorted anew."""


class Source(Protocol):
    """Where the state comes from: the store, or what stands between it and a node."""

    def snapshot(self) -> Snapshot: ...

    def watch(self, watcher: Watcher) -> Callable[[], None]: ...


class Feed:
    """Of one server. With `derive`, kinds are derived of which nothing is stored, from the first time that
    somebody asks for one on.
    """

    def __init__(self, source: Source, face: Face, *, derive: bool) -> None:
        self._source = source
        self._face = face
        self._derive = derive
        self._derived: Derived | None = None
        self._histories = Histories(source.snapshot().resource_version)
        self._keys: dict[str, tuple[int, bool, list[Key]]] = {}
        """Of each kind: the position of its history, whether it was stored, and the keys in order."""

    @property
    def resource_version(self) -> int:
        """Up to which everything is known."""
        return self._source.snapshot().resource_version

    def add(self, changes: Iterable[Change]) -> set[str]:
        """What has changed; returns the kinds of which it is."""
        changes = tuple(changes)
        if self._derived is not None:
            stored = self._source.snapshot().tables
            following = self._derived.following(changes)
            changes = (*changes, *(one for one in following if not stored.get(one.object.kind)))
        return self._histories.add(changes)

    def history(self, kind: str) -> History:
        """What has changed of a kind."""
        self._be_ready_for(kind)
        return self._histories.of(kind)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object."""
        return self._table(self._source.snapshot(), kind).get((namespace, name))

    def state(self, kind: str) -> State:
        """All of a kind."""
        self._be_ready_for(kind)
        snapshot, history = self._source.snapshot(), self._histories.of(kind)
        table = self._table(snapshot, kind)
        return State(table, self._sorted(kind, table), snapshot.resource_version, history)

    def _table(self, snapshot: Snapshot, kind: str) -> Mapping[Key, Object]:
        self._be_ready_for(kind)
        stored: Mapping[Key, Object] = snapshot.tables.get(kind, _NOTHING)
        return stored if stored or self._derived is None else self._derived.tables.get(kind, stored)

    def _be_ready_for(self, kind: str) -> None:
        if self._derive and self._derived is None and kind in DERIVED_KINDS:
            snapshot = self._source.snapshot()
            self._derived = Derived(snapshot, self._face)
            for one in DERIVED_KINDS:
                self._histories.begin(one, snapshot.resource_version)

    def _sorted(self, kind: str, table: Mapping[Key, Object]) -> Sequence[Key]:
        """The table's keys in order: those of the last time, and what has changed of them."""
        history = self._histories.of(kind)
        is_stored = isinstance(table, SharedMap)
        position, was_stored, keys = self._keys.get(kind, (0, not is_stored, []))
        told = history.following(position, _FEW + 1) if was_stored is is_stored else None
        if told is None or len(told) > _FEW:
            keys = sorted(table)
        else:
            for meta in (one.change.object.meta for one in told):
                _keep(keys, (meta.namespace, meta.name), (meta.namespace, meta.name) in table)
        self._keys[kind] = (history.position, is_stored, keys)
        return keys


def _keep(keys: list[Key], key: Key, is_there: bool) -> None:
    """Put a key into keys in order, or take it out."""
    place = bisect_left(keys, key)
    was_there = place < len(keys) and keys[place] == key
    if is_there and not was_there:
        keys.insert(place, key)
    elif was_there and not is_there:
        del keys[place]
