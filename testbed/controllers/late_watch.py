"""The cluster as somebody knows it who hears of its changes late, and perhaps out of order.

Pure: when a change is due is said by whoever holds it back.
"""

from __future__ import annotations

import heapq
import math
from types import MappingProxyType

from testbed.model.objects.metadata import Object
from testbed.shared_map import SharedMap
from testbed.store import Change, Key, Snapshot


class LateWatch:
    """One watch connection, begun with a list: `snapshot` as it was then.

    No change is ever lost, and none takes back a later one of the same object. The version of a
    snapshot is the last up to which nothing is missing.
    """

    def __init__(self, listed: Snapshot) -> None:
        self._tables = dict(listed.tables)
        self._known: dict[tuple[str, Key], int] = {}
        self._newest = listed.resource_version
        self._held: list[tuple[float, int, Change]] = []

    def hold(self, change: Change, due_s: float) -> None:
        """A change that was made, and arrives then."""
        self._newest = max(self._newest, change.resource_version)
        heapq.heappush(self._held, (due_s, change.resource_version, change))

    def deliver(self, now_s: float = math.inf) -> tuple[Change, ...]:
        """The changes that have arrived by now, in the order of their arrival."""
        arrived = []
        while self._held and self._held[0][0] <= now_s:
            change = heapq.heappop(self._held)[2]
            self._apply(change)
            arrived.append(change)
        return tuple(arrived)

    @property
    def due_s(self) -> float | None:
        """When the next change arrives; None: nothing is under way."""
        return self._held[0][0] if self._held else None

    def snapshot(self) -> Snapshot:
        """What is known now. Snapshots share what did not change."""
        missing = min((version for _, version, _ in self._held), default=self._newest + 1)
        return Snapshot(missing - 1, MappingProxyType(dict(self._tables)))

    def _apply(self, change: Change) -> None:
        item = change.object
        kind, key = item.kind, (item.meta.namespace, item.meta.name)
        table: SharedMap[Key, Object] = self._tables.get(kind, SharedMap())
        held = table.get(key)
        newest = max(self._known.get((kind, key), 0), held.meta.resource_version if held else 0)
        if change.resource_version <= newest:
            return  # a later change of this object has overtaken it
        self._known[kind, key] = change.resource_version
        following = table.mutate()
        if change.type != "DELETED":
            following[key] = item
        elif held is not None:
            del following[key]
        self._tables[kind] = following.finish()
