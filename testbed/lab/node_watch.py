"""What a node's proxy hears of the store: at once, late (`timing.watchDelay`), or as the fault
`delay-watch` has it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from testbed.clock import now_s
from testbed.controllers.late_watch import LateWatch
from testbed.faults.watch_delay import Arrival, WatchDelay
from testbed.store import Change, Snapshot, Store, Watcher


class NodeWatch:
    """One node's watch connection; the proxy of each IP family listens to it."""

    def __init__(self, store: Store, delay_s: Callable[[], float] | None = None) -> None:
        self._store = store
        self._delay_s = delay_s
        self._fault: Callable[[], Arrival] | None = None
        self._held = False
        self._late: LateWatch | None = None
        self._last_due_s = 0.0
        self._watchers: dict[int, Watcher] = {}
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._cancel: Callable[[], None] | None = None

    def snapshot(self) -> Snapshot:
        """The newest state that the node has been told of."""
        return self._store.snapshot() if self._late is None else self._late.snapshot()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with changes as they arrive; returns the cancel."""
        if self._cancel is None:
            self.relist()
            self._cancel = self._store.watch(self._changed)
        handle = self._next
        self._next += 1
        self._watchers[handle] = watcher
        return lambda: self._leave(handle)

    def relist(self) -> None:
        """Begin anew, as a new process does: what is there is known, what was under way is in it. Without a
        connection it knows what the old one knew.
        """
        if self._held and self._late is not None:
            return
        self._late = LateWatch(self._store.snapshot()) if self._delays else None
        self._last_due_s = 0.0
        self._arm()

    def delay(self, how: WatchDelay, seed: int) -> None:
        """Delay every change from now on, on top of `timing.watchDelay`."""
        chance = random.Random(seed).random
        self._fault = lambda: how.draw(chance)
        if self._late is None:
            self._late = LateWatch(self._store.snapshot())

    def hold(self) -> None:
        """Deliver nothing until `release`: the connection is broken."""
        self._held = True
        if self._late is None:
            self._late = LateWatch(self._store.snapshot())
        self._arm()

    def release(self) -> None:
        """Whoever watches lists anew: what was missed arrives now."""
        if self._held:
            self._held = False
            self._last_due_s = 0.0
            if self._late is not None:
                self._tell(self._late.deliver())

    def restore(self) -> bool:
        """End `delay`: what is under way arrives now. Returns whether there was one."""
        was = self._fault is not None
        self._fault = None
        if was and self._late is not None and not self._held:
            self._last_due_s = 0.0
            self._tell(self._late.deliver())
        return was

    @property
    def _delays(self) -> bool:
        return self._held or self._delay_s is not None or self._fault is not None

    def _leave(self, handle: int) -> None:
        self._watchers.pop(handle, None)
        if not self._watchers and self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if self._late is None:
            self._tell(changes)
            return
        for change in changes:
            self._late.hold(change, self._due_s())
        self._deliver()

    def _due_s(self) -> float:
        """When the change that was made just now arrives."""
        arrival = self._fault() if self._fault is not None else Arrival(0.0)
        late_s = self._delay_s() if self._delay_s is not None else 0.0
        due_s = now_s() + late_s + arrival.delay_s
        if arrival.overtakes:
            return due_s
        # One connection: a change never overtakes the one before it.
        self._last_due_s = max(due_s, self._last_due_s)
        return self._last_due_s

    def _deliver(self) -> None:
        if self._late is not None and not self._held:
            self._tell(self._late.deliver(now_s()))
        self._arm()

    def _tell(self, changes: tuple[Change, ...]) -> None:
        if self._late is not None and self._late.due_s is None and not self._delays:
            self._late = None  # nothing is missing any more: back in step with the store
        if changes:
            for watcher in tuple(self._watchers.values()):
                watcher(changes)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self._late.due_s if self._late is not None else None
        if due_s is not None and not self._held:
            later = asyncio.get_running_loop().call_later
            self._timer = later(max(0.0, due_s - now_s()), self._deliver)
