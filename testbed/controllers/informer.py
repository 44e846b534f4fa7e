"""What one watcher knows of the store: changes as they come, late by a delay, or held back.

A watcher may only look at the state it has been told of. Where a delay or a pause is set, snapshots
are therefore delivered with their changes, in the store's order, as a watch connection does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from testbed.store import Change, Snapshot, Store

Deliver = Callable[[tuple[Change, ...]], None]
Later = Callable[[float, Callable[[], None]], object]
"""`later(delay_s, call)`: as asyncio's `call_later`."""


class Informer:
    """One watch on the store. `delay_s` draws each change's delay; None: none at all.

    Without a delay `deliver` is called within the store's own write, so it must not write itself.
    """

    def __init__(
        self,
        store: Store,
        deliver: Deliver,
        later: Later,
        now_s: Callable[[], float],
        delay_s: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._deliver = deliver
        self._later = later
        self._now_s = now_s
        self._delay_s = delay_s
        self._held: deque[tuple[float, Snapshot, tuple[Change, ...]]] = deque()
        self._paused = False
        self._known = store.snapshot()
        self._cancel = store.watch(self._changed)

    def snapshot(self) -> Snapshot:
        """The newest state that this watcher has been told of."""
        if self._delay_s is None and not self._paused and not self._held:
            return self._store.snapshot()
        return self._known

    def pause(self) -> None:
        """Hold every change back from now on."""
        if not self._paused:
            self._known = self.snapshot()
            self._paused = True

    def resume(self) -> None:
        """Deliver what was held back, in order, and go on."""
        self._paused = False
        self._deliver_due()

    def stop(self) -> None:
        """End the watch; what is held is never delivered."""
        self._cancel()
        self._held.clear()

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if self._delay_s is None and not self._paused and not self._held:
            self._deliver(changes)
            return
        delay_s = self._delay_s() if self._delay_s is not None else 0.0
        # One connection: a change never overtakes the one before it.
        earliest_s = self._held[-1][0] if self._held else 0.0
        due_s = max(self._now_s() + delay_s, earliest_s)
        self._held.append((due_s, self._store.snapshot(), changes))
        if not self._paused:
            self._later(due_s - self._now_s(), self._deliver_due)

    def _deliver_due(self) -> None:
        while self._held and not self._paused:
            due_s, snapshot, changes = self._held[0]
            wait_s = due_s - self._now_s()
            if wait_s > 0:
                self._later(wait_s, self._deliver_due)
                return
            self._held.popleft()
            self._known = snapshot
            self._deliver(changes)
