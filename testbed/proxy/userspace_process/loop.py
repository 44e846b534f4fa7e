"""File descriptors and times to come: the one loop of the process."""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable
from itertools import count

from testbed.clock import now_s

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
Handler = Callable[[int], None]


class Loop:
    """Calls whoever watches a descriptor that is ready, and whoever asked for a time that has come."""

    def __init__(self) -> None:
        self.ended = False
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._silent: set[int] = set()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._number = count()

    def watch(self, fd: int, handler: Handler, events: int = READ) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def want(self, fd: int, events: int) -> None:
        """Change what is waited for; 0: nothing, not even a hang-up, which epoll would repeat for ever."""
        if not events:
            if fd not in self._silent:
                self._epoll.unregister(fd)
                self._silent.add(fd)
        elif fd in self._silent:
            self._epoll.register(fd, events)
            self._silent.discard(fd)
        else:
            self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call before closing. Unknown: no error."""
        if self._handlers.pop(fd, None) is None:
            return
        if fd in self._silent:
            self._silent.discard(fd)
        else:
            self._epoll.unregister(fd)

    def at(self, time_s: float, action: Callable[[], None]) -> int:
        """Do something then; returns what `cancel` takes."""
        number = next(self._number)
        heapq.heappush(self._timers, (time_s, number, action))
        return number

    def cancel(self, timer: int) -> None:
        """Of a timer that has not come yet."""
        self._cancelled.add(timer)

    def run(self) -> None:
        """Until `ended`."""
        poll, handlers = self._epoll.poll, self._handlers
        while not self.ended:
            for fd, events in poll(self._patience_s()):
                handler = handlers.get(fd)
                if handler is not None:  # else: closed by an earlier event of this round
                    handler(events)
            self._due()

    def _patience_s(self) -> float:
        """Seconds until the next timer; -1: there is none."""
        while self._timers and self._timers[0][1] in self._cancelled:
            self._cancelled.discard(heapq.heappop(self._timers)[1])
        return max(0.0, self._timers[0][0] - now_s()) if self._timers else -1.0

    def _due(self) -> None:
        while self._timers and self._timers[0][0] <= now_s():
            _, number, action = heapq.heappop(self._timers)
            if number in self._cancelled:
                self._cancelled.discard(number)
            else:
                action()
