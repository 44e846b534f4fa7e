"""What a proxy loop is given: where it hears of changes, how it reaches its node, what time it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from testbed.clock import now_ns
from testbed.command import Command
from testbed.store import Snapshot, Watcher

T = TypeVar("T")


class Source(Protocol):
    """Where cluster state comes from: the store, or what stands between it and a node."""

    def snapshot(self) -> Snapshot: ...

    def watch(self, watcher: Watcher) -> Callable[[], None]: ...


async def nothing_else() -> None:
    """A proxy that is rules and nothing else."""


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """How the loop reaches its node. `run` and `read` raise CommandFailed; `read` returns standard output.

    `executor` runs the planning of a sync, so that a large one does not hold up the event loop. `restart`
    ends what is part of the proxy and no rule, where there is something: a process that copies.
    """

    run: Callable[[Sequence[Command]], Awaitable[None]]
    read: Callable[[Command], Awaitable[str]]
    executor: Executor | None = None
    restart: Callable[[], Awaitable[None]] = nothing_else

    async def compute(self, decide: Callable[[], T]) -> T:
        """What `decide` returns, called in the executor."""
        if self.executor is None:
            return decide()
        return await asyncio.get_running_loop().run_in_executor(self.executor, decide)


class Clock(Protocol):
    """Time as the loop needs it."""

    def now_ns(self) -> int: ...

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        """Returns when the event is set or the time is up."""


class MonotonicClock:
    """CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        return now_ns()

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return
