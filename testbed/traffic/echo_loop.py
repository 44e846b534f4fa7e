"""The echo server's loop: file descriptor -> what to do when it is ready."""

from __future__ import annotations

import select
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from testbed.clock import now_ns
from testbed.traffic.accept_log import AcceptLog

BURST = 64
"""Connections or datagrams that a port takes before others get their turn."""
DRAIN_S = 1.0
"""How long a connection that has not sent its request yet may hold up a graceful end."""


class Connected(Protocol):
    """An open connection."""

    @property
    def idle(self) -> bool:
        """Answered before, and nothing begun since."""

    def close(self) -> None: ...


class EchoLoop:
    """One for all ports of a server; `log`: of what they accept."""

    def __init__(self, log: AcceptLog | None) -> None:
        self.log = log
        self.epoll = select.epoll()
        self.connections: set[Connected] = set()
        self.drain_until_ns: int | None = None
        """None: it goes on for ever."""
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        """(when, a number that tells equal times apart, what then): a heap."""
        self._numbered = 0

    def watch(self, fd: int, handler: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        self._handlers[fd] = handler
        self.epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call before closing."""
        del self._handlers[fd]
        self.epoll.unregister(fd)

    def at(self, t_ns: int, action: Callable[[], None]) -> None:
        """Do something then."""
        self._numbered += 1
        heappush(self._due, (t_ns, self._numbered, action))

    def serve(self) -> None:
        """Until everything that was accepted before the end was asked for is answered."""
        while True:
            timeout_s = -1.0
            if self.drain_until_ns is not None:
                timeout_s = max(0.0, (self.drain_until_ns - now_ns()) / 1e9)
                if not self.connections or timeout_s == 0.0:
                    return
            handlers = self._handlers
            if self._due:
                due_s = max(0.0, (self._due[0][0] - now_ns()) / 1e9)
                timeout_s = due_s if timeout_s < 0 else min(timeout_s, due_s)
            for fd, events in self.epoll.poll(timeout_s):
                handler = handlers.get(fd)
                if handler is not None:  # else: closed by an earlier event of this round
                    handler(events)
            while self._due and self._due[0][0] <= now_ns():
                heappop(self._due)[2]()

    def drain(self, stop_listening: Callable[[], None]) -> None:
        """Take no new connections, end idle ones, answer the rest."""
        if self.drain_until_ns is not None:
            return
        self.drain_until_ns = now_ns() + int(DRAIN_S * 1e9)
        stop_listening()
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()
