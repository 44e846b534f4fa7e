"""Work that waits, shared out fairly: a client that asks more than others waits for itself alone."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING = 2048
"""Queries that wait to be worked out. More would have been given up by whoever asked before their turn came."""


class Backlog(Generic[T]):
    """A queue for each client; they take turns. When there is no room, the longest queue loses its newest."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._queues: dict[str, deque[T]] = {}
        """By client; who comes first has its turn next. No queue is empty."""
        self._by_length: dict[int, dict[str, None]] = {}
        """Clients by the length of their queues: whose is the longest must be known at once."""
        self._longest = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def waiting(self, client: str) -> int:
        """How much of one client's waits."""
        return len(self._queues.get(client, ()))

    def has_room(self, client: str) -> bool:
        """Whether a client's next work would find room, for which perhaps somebody else loses some."""
        return self._waiting < self._max_waiting or self.waiting(client) < self._longest

    def put(self, client: str, work: T) -> T | None:
        """Add a client's work; returns what is lost for it: the busiest client's newest, perhaps this one."""
        lost = None
        if not self.has_room(client):
            return work
        if self._waiting >= self._max_waiting:
            busiest = next(iter(self._by_length[self._longest]))
            lost = self._queues[busiest].pop()  # not its only one: this client has fewer
            self._resized(busiest, self._longest)
        queue = self._queues.setdefault(client, deque())
        queue.append(work)
        self._resized(client, len(queue) - 1)
        return lost

    def take(self) -> T:
        """The oldest work of the client whose turn it is. Raises LookupError where nothing waits."""
        client = next(iter(self._queues), None)
        if client is None:
            raise LookupError("nothing waits")
        queue = self._queues.pop(client)
        work = queue.popleft()
        if queue:
            self._queues[client] = queue  # behind all others
        self._resized(client, len(queue) + 1)
        return work

    def _resized(self, client: str, before: int) -> None:
        """Note how long a client's queue is now; it has changed by one."""
        now = self.waiting(client)
        self._waiting += now - before
        if before:
            del self._by_length[before][client]
        if now:
            self._by_length.setdefault(now, {})[client] = None
        if now > self._longest or not self._by_length.get(self._longest):
            self._longest = now
