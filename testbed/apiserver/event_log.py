"""What is said of objects, kept as Event objects: repetitions counted, the oldest dropped.

Source: client-go's tools/record, whose correlator counts alike events.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from testbed.apiserver.object_events import Said
from testbed.model.documents import Event
from testbed.model.manifest import API_VERSIONS
from testbed.model.objects.metadata import ObjectMeta
from testbed.store import Create, Delete, Key, Snapshot, Update, Write

CAPACITY = 2000
"""Events kept; Kubernetes drops them after an hour, busy or not."""


class EventLog:
    """Which Events it has written, the oldest first. `unix_offset_s`: wall-clock time at CLOCK_MONOTONIC 0."""

    def __init__(self, unix_offset_s: float, capacity: int = CAPACITY) -> None:
        self._unix_offset_s = unix_offset_s
        self._capacity = capacity
        self._written: OrderedDict[str, Key] = OrderedDict()
        """Namespace and name of each, by what is said."""
        self._last_ns = 0

    def writes(self, said: Iterable[Said], snapshot: Snapshot) -> list[Write]:
        """What puts these, too, into the store; a user may have deleted what was there."""
        latest: OrderedDict[str, tuple[Said, int]] = OrderedDict()
        for one in said:
            words = _words(one)
            latest[words] = (one, latest[words][1] + 1 if words in latest else 1)
            latest.move_to_end(words)
        while len(latest) > self._capacity:
            latest.popitem(last=False)
        writes: list[Write] = []
        for words, (one, times) in latest.items():
            key = self._written.get(words) or self._key(one)
            writes.append(self._write(one, key, times, snapshot))
            self._written[words] = key
            self._written.move_to_end(words)
        while len(self._written) > self._capacity:
            _, key = self._written.popitem(last=False)
            known = snapshot.get(Event, *key)
            if known is not None:
                writes.append(Delete(Event.kind, *key, uid=known.meta.uid))
        return writes

    def _key(self, said: Said) -> Key:
        """Names are in the order in which things are said, as lists are in the order of names."""
        meta = said.about.meta
        self._last_ns = max(self._last_ns + 1, round((said.at_s + self._unix_offset_s) * 1e9))
        return meta.namespace or "default", f"{meta.name}.{self._last_ns:016x}"

    def _write(self, said: Said, key: Key, times: int, snapshot: Snapshot) -> Write:
        known = snapshot.get(Event, *key)
        at = self._wall(said.at_s)
        if known is None:
            body = _body(said, first=at, last=at, count=times)
            return Create(Event(ObjectMeta(key[1], key[0], rest=body)))
        before = known.body
        count = int(before.get("count", 1)) + times
        first = str(before.get("firstTimestamp", at))
        body = _body(said, first=first, last=at, count=count)
        return Update(Event(ObjectMeta(key[1], key[0], rest=body)))

    def _wall(self, at_s: float) -> str:
        moment = datetime.fromtimestamp(at_s + self._unix_offset_s, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(said: Said) -> str:
    """What is said again, of the same object by the same, is the same Event."""
    uid = said.about.meta.uid
    return "\0".join((uid, said.field_path, said.reason, said.message, said.component, said.host))


def _body(said: Said, *, first: str, last: str, count: int) -> Mapping[str, Any]:
    about = said.about
    involved = {
        "apiVersion": API_VERSIONS[about.kind],
        "kind": about.kind,
        "namespace": about.meta.namespace,
        "name": about.meta.name,
        "uid": about.meta.uid,
        "resourceVersion": str(about.meta.resource_version),
        "fieldPath": said.field_path,
    }
    return {
        "involvedObject": {name: value for name, value in involved.items() if value},
        "reason": said.reason,
        "message": said.message,
        "source": {"component": said.component, **({"host": said.host} if said.host else {})},
        "firstTimestamp": first,
        "lastTimestamp": last,
        "count": count,
        "type": "Warning" if said.warning else "Normal",
        "eventTime": None,
        "reportingComponent": said.component,
        "reportingInstance": said.host,
    }
