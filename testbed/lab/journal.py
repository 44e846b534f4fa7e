"""The events of a lab, in memory, for whoever asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from testbed.clock import now_ns
from testbed.controllers.store_events import store_events
from testbed.events import Event, Record
from testbed.store import Change, Store

CAPACITY = 200_000
"""Events kept; older ones are dropped."""


class Journal:
    """Append-only; each event has a number that counts from 0."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=CAPACITY)
        self._count = 0
        self._news = asyncio.Event()
        self._listeners: list[Record] = []

    @property
    def count(self) -> int:
        """How many events there were: the number of the next one."""
        return self._count

    def record(self, event: Event) -> None:
        """Add an event; whoever waits for news is woken."""
        self._events.append(event)
        self._count += 1
        self._news.set()
        for listener in self._listeners:
            listener(event)

    def listen(self, listener: Record) -> None:
        """Tell of every event as it is recorded, from now on."""
        self._listeners.append(listener)

    def follow(self, store: Store) -> None:
        """Note what the store's changes mean, from now on. Before other watchers: times are taken here."""
        store.watch(self._changed)

    def since_ns(self, t_ns: int) -> list[Event]:
        """Events at or after an instant, in the order they were told."""
        return [event for event in self._events if event.t_ns >= t_ns]

    async def after(self, number: int, timeout_s: float) -> tuple[list[Event], int]:
        """Events from `number` on, waiting for at least one; and the number to go on from."""
        if number >= self._count:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), timeout_s)
            except TimeoutError:
                return [], number
        return list(self._from(number)), self._count

    def _changed(self, changes: tuple[Change, ...]) -> None:
        for event in store_events(changes, now_ns()):
            self.record(event)

    def _from(self, number: int) -> Iterator[Event]:
        first = self._count - len(self._events)
        for offset, event in enumerate(self._events, first):
            if offset >= number:
                yield event


def lab_event(kind: str, **detail: object) -> Event:
    """An event of the lab itself, now."""
    return Event(now_ns(), "lab", "", kind, "", 0, detail)
