"""What has changed of each kind since a version: what watches tell, and what lists of a past version need."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice

from testbed.model.objects.metadata import Object
from testbed.store import Change, Key

LENGTH = 10_000
"""Changes of a kind remembered: a watch that begins earlier is told to list again (410 Gone)."""
_WARM = 256
"""Of the latest changes, what was encoded for one watcher is kept for the next."""


class Told:
    """A change, and its watch events as they were encoded: once for all watchers that want them alike."""

    __slots__ = ("change", "lines")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.lines: dict[object, bytes] = {}


class History:
    """The latest changes of one kind in the order in which they came, which is not always their
    versions': what tells a node may be late.
    """

    def __init__(self, resource_version: int, length: int = LENGTH) -> None:
        self._told: deque[Told] = deque(maxlen=length)
        self.since = resource_version
        """The oldest version after which every change is remembered."""
        self.position = 0
        """How many changes have come; `following` takes it later."""

    def add(self, change: Change) -> None:
        """One more; the oldest may be forgotten."""
        if len(self._told) == self._told.maxlen:
            self.since = max(self.since, self._told[0].change.resource_version)
        self._told.append(Told(change))
        self.position += 1
        if len(self._told) > _WARM:
            self._told[-_WARM - 1].lines.clear()

    def after(self, resource_version: int) -> list[Told] | None:
        """Changes after a version; None: it is too long ago."""
        if resource_version < self.since:
            return None
        return [one for one in self._told if one.change.resource_version > resource_version]

    def place_after(self, resource_version: int) -> int | None:
        """From which position on changes may be after a version; None: it is too long ago."""
        if resource_version < self.since:
            return None
        newer = (one.change.resource_version > resource_version for one in self._told)
        first = next((place for place, is_newer in enumerate(newer) if is_newer), len(self._told))
        return self.position - len(self._told) + first

    def following(self, position: int, at_most: int = LENGTH) -> list[Told] | None:
        """The next changes after that many had come; None: some of them are forgotten."""
        missing = self.position - position
        if missing > len(self._told):
            return None
        start = len(self._told) - missing
        return list(islice(self._told, start, start + at_most))

    def as_of(
        self, table: Mapping[Key, Object], resource_version: int
    ) -> Mapping[Key, Object] | None:
        """The kind's objects as they were at a version, from what they are now; None: it is too long ago."""
        later = self.after(resource_version)
        if later is None:
            return None
        if not later:
            return table
        then: dict[Key, Object | None] = {}
        for told in later:
            meta = told.change.object.meta
            then.setdefault((meta.namespace, meta.name), told.change.previous)
        merged: dict[Key, Object | None] = {**table, **then}
        return {key: item for key, item in merged.items() if item is not None}


class Histories:
    """One of every kind, all from the same version on."""

    def __init__(self, resource_version: int, length: int = LENGTH) -> None:
        self._since = resource_version
        self._length = length
        self._kinds: dict[str, History] = {}

    def of(self, kind: str) -> History:
        """That of a kind."""
        if kind not in self._kinds:
            self._kinds[kind] = History(self._since, self._length)
        return self._kinds[kind]

    def begin(self, kind: str, resource_version: int) -> None:
        """Nothing is known of what a kind was before a version."""
        self._kinds[kind] = History(resource_version, self._length)

    def add(self, changes: Iterable[Change]) -> set[str]:
        """What came; returns the kinds of which it is."""
        kinds = set()
        for change in changes:
            kinds.add(change.object.kind)
            self.of(change.object.kind).add(change)
        return kinds
