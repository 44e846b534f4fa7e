"""Planning for all nodes of a lab and one IP family: what is equal on several nodes is decided once."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.proxy.programme import Programme, next_programme
from testbed.proxy.ruleset import Backend
from testbed.proxy.table import ProxyConfig
from testbed.store import Snapshot

GC_THRESHOLDS = (100_000, 20, 20)
"""For `gc.set_threshold` where large clusters are planned: their values are made in one go and stay. By default
the collector looks at them again for every few hundred more, which takes a third of the time."""


class Planner:
    """Hands each node the newest programme of any node, to take over what it needs not decide anew.

    Loops plan in threads of their own. They do so one after the other here: the first of fifty nodes that
    want the same state does the work, the others wait for it.
    """

    def __init__(self, backend: Backend, config: ProxyConfig) -> None:
        self._backend = backend
        self._config = config
        self._newest: Programme | None = None
        self._lock = threading.Lock()

    def plan(self, snapshot: Snapshot, node: str, before: Programme | None) -> Programme:
        """See `next_programme`."""
        with self._lock:
            if before is None:
                with uncollected():
                    self._newest = self._next(snapshot, node, before)
            else:
                self._newest = self._next(snapshot, node, before)
            return self._newest

    def _next(self, snapshot: Snapshot, node: str, before: Programme | None) -> Programme:
        return next_programme(
            snapshot, self._config, node, self._backend, before, other=self._newest
        )


@contextmanager
def uncollected() -> Iterator[None]:
    """For a node's first plan, which makes as many values as its cluster is large: the collector walks neither
    these nor whatever was there before, now or later. They end all the same when nobody refers to them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
