"""Work that waits, shared out fairly: a client that asks more than others waits for itself alone."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING = 2048
"""Queries that wait to be worked out. More would have been given up by whoever asked before their turn came."""


class Backlog(Generic[T]):
    """A queue for each client; they take turns. When it is full, the longest queue loses its newest."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._queues: dict[str, deque[T]] = {}
        """By client; who comes first has its turn next. No queue is empty."""
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def waiting(self, client: str) -> int:
        """How much of one client's waits."""
        return len(self._queues.get(client, ()))

    def put(self, client: str, work: T) -> T | None:
        """Add a client's work; returns what is lost for it: the busiest client's newest, perhaps this one."""
        lost = None
        if self._waiting >= self._max_waiting:
            busiest = max(self._queues, key=self.waiting)
            if self.waiting(busiest) <= self.waiting(client):
                return work
            lost = self._queues[busiest].pop()  # not its only one: this client has fewer
            self._waiting -= 1
        self._queues.setdefault(client, deque()).append(work)
        self._waiting += 1
        return lost

    def take(self) -> T:
        """The oldest work of the client whose turn it is. Raises LookupError where nothing waits."""
        client = next(iter(self._queues), None)
        if client is None:
            raise LookupError("nothing waits")
        queue = self._queues.pop(client)
        work = queue.popleft()
        self._waiting -= 1
        if queue:
            self._queues[client] = queue  # behind all others
        return work
