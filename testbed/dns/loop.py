"""The one thread of a DNS server: descriptors and timers, and who is called for them."""

from __future__ import annotations

import heapq
import selectors
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from testbed.clock import now_s

Ready = Callable[[int], None]
Failed = Callable[[Exception], None]
"""Hears of a mistake of ours; the server goes on."""


def print_failure(error: Exception) -> None:
    """On standard error, if it takes any more."""
    with suppress(OSError):
        traceback.print_exception(error, file=sys.stderr)


class SelectorLoop:
    """`testbed.dns.query.Loop` by a selector.

    A callback that fails ends nobody else: `failed` is told, as CoreDNS recovers from a plug-in's panic.
    """

    def __init__(self, failed: Failed = print_failure) -> None:
        self.failed = failed
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, list[Callable[[], None]]]] = []
        """Soonest first: when, a number, what to call (nothing: it was called off)."""
        self._numbers = count()

    def now_s(self) -> float:
        return now_s()

    def watch(self, fd: int, ready: Ready, events: int) -> None:
        try:
            self._selector.register(fd, events, ready)
        except KeyError:  # known already
            self._selector.modify(fd, events, ready)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def later(self, delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
        calls = [call]
        heapq.heappush(self._timers, (now_s() + delay_s, next(self._numbers), calls))
        return calls.clear

    def turn(self, wait: bool) -> None:
        """Call whoever has something to do; with `wait`, not before there is something."""
        for key, events in self._selector.select(self._patience_s() if wait else 0.0):
            # Unwatched, or taken over by another one, earlier in this round?
            if self._selector.get_map().get(key.fd) is key:
                self._call(key.data, events)
        while self._timers and self._timers[0][0] <= now_s():
            *_, calls = heapq.heappop(self._timers)
            for call in calls:
                self._call(call)

    def close(self) -> None:
        self._selector.close()

    def _call(self, call: Callable[..., None], *given: int) -> None:
        try:
            call(*given)
        except Exception as error:
            self.failed(error)

    def _patience_s(self) -> float | None:
        """Seconds until the next timer; None: there is none."""
        while self._timers and not self._timers[0][2]:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - now_s()) if self._timers else None
