"""What has changed of a resource since a version: the events of a watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from testbed.apiserver.derived import DERIVED
from testbed.apiserver.presented import Face, presented
from testbed.apiserver.resources import Json, Resource
from testbed.apiserver.selectors import Test
from testbed.store import Change, Snapshot

LENGTH = 10_000
"""Changes remembered: a watch that begins earlier is told to list again (410 Gone)."""
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client asked for."""

    resource: Resource
    namespace: str
    """"": all."""
    tests: tuple[Test, ...]

    def takes(self, manifest: Json) -> bool:
        metadata = manifest["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        return all(test(manifest) for test in self.tests)

    def of(self, snapshot: Snapshot, face: Face) -> Iterator[Json]:
        """The objects that it takes."""
        kind = self.resource.stored
        if kind in DERIVED:
            return filter(self.takes, DERIVED[kind](snapshot, face))
        items = snapshot.tables.get(kind, {}).values()
        return filter(self.takes, (presented(item, face) for item in items))


class History:
    """The latest changes of the store in the order in which they came, which is not always their
    versions': what tells a node may be late.
    """

    def __init__(self, resource_version: int, length: int = LENGTH) -> None:
        self._changes: deque[Change] = deque(maxlen=length)
        self._since = resource_version
        self.position = 0
        """How many changes have come; `following` takes it later."""

    def add(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if len(self._changes) == self._changes.maxlen:
                self._since = max(self._since, self._changes[0].resource_version)
            self._changes.append(change)
            self.position += 1

    def after(self, resource_version: int) -> list[Change] | None:
        """Changes after a version; None: it is too long ago."""
        if resource_version < self._since:
            return None
        return [one for one in self._changes if one.resource_version > resource_version]

    def following(self, position: int) -> list[Change] | None:
        """Changes that came since that many had come; None: some of them are forgotten."""
        missing = self.position - position
        if missing > len(self._changes):
            return None
        return list(islice(self._changes, len(self._changes) - missing, None))


def events(selection: Selection, changes: Iterable[Change], face: Face) -> Iterator[Json]:
    """The watch events of changes, of a stored resource. An object that a selector takes no more is DELETED."""
    for change in changes:
        if change.object.kind != selection.resource.stored:
            continue
        now = presented(change.object, face)
        now["metadata"]["resourceVersion"] = str(change.resource_version)
        is_in = change.type != "DELETED" and selection.takes(now)
        before = presented(change.previous, face) if change.previous is not None else None
        was_in = before is not None and selection.takes(before)
        if is_in:
            yield {"type": "MODIFIED" if was_in else "ADDED", "object": now}
        elif was_in:
            yield {"type": "DELETED", "object": now}


def derived_events(before: Mapping[_Key, Json], now: Mapping[_Key, Json]) -> Iterator[Json]:
    """The watch events of a resource that is derived, from what it was and is."""
    for key, manifest in now.items():
        if key not in before:
            yield {"type": "ADDED", "object": manifest}
        elif before[key] != manifest:
            yield {"type": "MODIFIED", "object": manifest}
    for key, manifest in before.items():
        if key not in now:
            yield {"type": "DELETED", "object": manifest}


def by_key(items: Iterable[Json]) -> dict[_Key, Json]:
    """Manifests by (namespace, name)."""
    return {(one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in items}
