"""The store as somebody sees it who hears of every change late (`timing.watchDelay`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from testbed.clock import now_s
from testbed.controllers.informer import Informer
from testbed.store import Snapshot, Store, Watcher


class DelayedSource:
    """One watcher's source for a proxy loop; each `watch` is a connection with delays of its own."""

    def __init__(self, store: Store, delay_s: Callable[[], float]) -> None:
        self._store = store
        self._delay_s = delay_s
        self._informer: Informer | None = None

    def snapshot(self) -> Snapshot:
        """The newest state that the watcher has been told of."""
        return self._store.snapshot() if self._informer is None else self._informer.snapshot()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with each transaction's changes, late; returns the cancel."""
        later = asyncio.get_running_loop().call_later
        informer = Informer(self._store, watcher, later, now_s, self._delay_s)
        self._informer = informer
        return informer.stop
