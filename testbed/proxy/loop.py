"""One node's proxy: watches the store and keeps the node's kernel in step with it.

It decides nothing about services: the table, the rules and the commands come from pure functions,
and what was done, and when it was true, goes out as `proxy`/`sync` events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from testbed.clock import now_ns
from testbed.command import Command
from testbed.errors import CommandFailed, TestbedError
from testbed.events import Event, Record
from testbed.model.objects import EndpointSlice, Node, Service
from testbed.proxy import stale
from testbed.proxy.metrics import Metrics
from testbed.proxy.pace import Pace, Periods
from testbed.proxy.programme import Programme, Sync, next_programme, starting_point
from testbed.proxy.ruleset import Backend, Ruleset, changed_chains
from testbed.proxy.table import ForwardingTable, ProxyConfig
from testbed.store import Change, Snapshot, Watcher

T = TypeVar("T")


class Source(Protocol):
    """Where cluster state comes from: the store, or what stands between it and a node."""

    def snapshot(self) -> Snapshot: ...

    def watch(self, watcher: Watcher) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """How the loop reaches its node. Both raise CommandFailed; `read` returns standard output.

    `executor` runs the planning of a sync, so that a large one does not hold up the event loop.
    """

    run: Callable[[Sequence[Command]], Awaitable[None]]
    read: Callable[[Command], Awaitable[str]]
    executor: Executor | None = None


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


class ProxyLoop:
    """Start it when the services and slices of the cluster are known: it programs a snapshot at
    once.
    """

    def __init__(
        self,
        source: Source,
        node: str,
        backend: Backend,
        access: NodeAccess,
        record: Record,
        *,
        config: ProxyConfig,
        periods: Periods,
        clock: Clock | None = None,
    ) -> None:
        self.node = node
        self.metrics = Metrics()
        self._source = source
        self._backend = backend
        self._access = access
        self._record = record
        self._config = config
        self._clock = clock or MonotonicClock()
        self._pace = Pace(periods)
        self._wake = asyncio.Event()
        self._stalled = False
        self._stopping = False
        self._forget = False
        self._task: asyncio.Task[None] | None = None
        self._cancel_watch: Callable[[], None] = lambda: None
        self._programmed: Programme | None = None
        self._trusted = False
        self._looked: ForwardingTable | None = None
        self._heard = -1
        self._last_change = 0
        self._version = -1
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._error = ""

    # For the lab

    def start(self) -> None:
        """Begin to watch, and sync at once. Needs a running event loop."""
        self._cancel_watch = self._source.watch(self._changed)
        self._heard = self._source.snapshot().resource_version
        self._queue()
        self._task = asyncio.get_running_loop().create_task(self._main(), name=f"proxy-{self.node}")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End, after a sync that is under way. The rules stay, as kube-proxy leaves them."""
        self._cancel_watch()
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def synced(self, resource_version: int) -> None:
        """Returns when the rules of the store's version, or a later one, are in force.

        Raises what ended the loop, where it has ended.
        """
        if self._in_force(resource_version):
            return
        if self._task is None or self._task.done():
            raise self._ending()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((resource_version, waiter))
        await waiter

    @property
    def error(self) -> str:
        """Why the last sync failed; "" when it did not."""
        return self._error

    @property
    def resource_version(self) -> int:
        """The store's version whose rules are in force; -1 before the first sync."""
        return self._version

    @property
    def table(self) -> ForwardingTable | None:
        """The table whose rules are in force; None before the first sync."""
        return self._programmed.table if self._programmed else None

    @property
    def rules(self) -> Ruleset | None:
        """The rules in force as they were planned; None before the first sync."""
        return self._programmed.rules if self._programmed else None

    def stall(self) -> None:
        """Sync no more until `resume`; changes queue up."""
        self._stalled = True

    def resume(self) -> None:
        """End a stall."""
        self._stalled = False
        self._wake.set()

    def restart(self) -> None:
        """Forget everything, like a new process: what the kernel holds is read, and synced in full."""
        self._forget = True
        self._pace = Pace(self._pace.periods)
        self._queue()

    # The loop

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._heard = changes[-1].resource_version
        relevant = [change for change in changes if self._concerns(change)]
        if relevant:
            self._last_change = relevant[-1].resource_version
            self._count(sync_proxy_rules_changes_total=len(relevant))
            self._queue()
        self._release_waiters()

    def _concerns(self, change: Change) -> bool:
        item = change.object
        if isinstance(item, Node):
            return item.meta.name == self.node
        return isinstance(item, Service | EndpointSlice)

    def _queue(self) -> None:
        now = self._clock.now_ns()
        self._pace = self._pace.queued(now / 1e9)
        self.metrics = replace(self.metrics, sync_proxy_rules_last_queued_ns=now)
        self._wake.set()

    async def _main(self) -> None:
        while not self._stopping:
            self._wake.clear()
            due_s = self._pace.due_s()
            wait_s = None if due_s is None else due_s - self._clock.now_ns() / 1e9
            if self._stalled or wait_s is None:
                await self._clock.wait(self._wake, None)
            elif wait_s > 0:
                await self._clock.wait(self._wake, wait_s)
            else:
                await self._run()

    async def _run(self) -> None:
        """One sync, its event, and whoever waited for it."""
        self._pace = self._pace.started()
        snapshot = self._source.snapshot()
        failure: CommandFailed | None = None
        try:
            await self._sync(snapshot)
        except CommandFailed as error:
            failure = error
            self._trusted = False
            self._count(sync_proxy_rules_iptables_restore_failures_total=1)
        self._error = "" if failure is None else str(failure)
        self._pace = self._pace.ended(self._clock.now_ns() / 1e9, failed=failure is not None)
        self._release_waiters()

    def _release_waiters(self) -> None:
        for version, waiter in self._waiters:
            if not waiter.done() and self._in_force(version):
                waiter.set_result(None)
        self._waiters = [item for item in self._waiters if not item[1].done()]

    async def _sync(self, snapshot: Snapshot) -> None:
        if self._forget:
            self._programmed, self._looked, self._trusted = None, None, False
            self._forget = False
        sync = await self._plan(snapshot)
        start_ns = self._clock.now_ns()
        error = ""
        try:
            if sync.commands:
                await self._access.run(sync.commands)
        except TestbedError as failure:
            error = str(failure)
            raise
        finally:
            self._report(sync, start_ns, self._clock.now_ns(), error)
        self._programmed, self._trusted = sync.next, True
        try:
            await self._forget_stale_flows(sync.next.table)
        finally:
            self._version = snapshot.resource_version

    # Planning

    async def _plan(self, snapshot: Snapshot) -> Sync:
        before = self._programmed
        following = await self._compute(
            lambda: next_programme(snapshot, self._config, self.node, self._backend, before)
        )
        want = following.rules
        have = before.rules if before and self._trusted else None
        if have is None or self._backend.rewrites(have, want):
            text = await self._access.read(self._backend.observe())
            have = await self._compute(
                lambda: starting_point(self._backend.parse(text), want, self._backend)
            )
        commands = await self._compute(lambda: self._backend.commands(have, want))
        return Sync(
            next=following,
            commands=tuple(commands),
            full=not self._trusted or have is None,
            changed_chains=changed_chains(have, want),
        )

    async def _compute(self, decide: Callable[[], T]) -> T:
        if self._access.executor is None:
            return decide()
        return await asyncio.get_running_loop().run_in_executor(self._access.executor, decide)

    # Afterwards

    async def _forget_stale_flows(self, now: ForwardingTable) -> None:
        """Deletes UDP flows to endpoints that are gone. Where it fails, the next sync looks again."""
        if stale.needs_look(self._looked, now):
            flows = stale.parse_flows(await self._access.read(stale.LIST))
            for flow in stale.stale_flows(flows, self._looked, now):
                await self._delete(flow)
                self._count(conntrack_reconciler_deleted_flows_total=1)
        self._looked = now

    async def _delete(self, flow: stale.Flow) -> None:
        try:
            await self._access.run([stale.deletion(flow)])
        except CommandFailed as failure:
            if stale.NOTHING_DELETED not in failure.stderr:
                raise

    def _report(self, sync: Sync, start_ns: int, end_ns: int, error: str) -> None:
        if not error:
            kind = "full" if sync.full else "partial"
            self._count(**{f"sync_{kind}_proxy_rules_count": 1})
            self.metrics = replace(
                self.metrics,
                sync_proxy_rules_last_ns=end_ns,
                sync_proxy_rules_iptables_total=tuple(sync.next.rules.count().items()),
            )
        detail = {
            "start_ns": start_ns,
            "end_ns": end_ns,
            "full": sync.full,
            "changed_chains": sync.changed_chains,
            "commands": len(sync.commands),
            "error": error,
        }
        version = sync.next.table.resource_version
        self._record(Event(end_ns, "proxy", self.node, "sync", "", version, detail))

    def _count(self, **added: int) -> None:
        self.metrics = self.metrics.plus(**added)

    def _in_force(self, resource_version: int) -> bool:
        """It is programmed, or nothing that came since what is programmed concerns this node."""
        if self._version < 0:
            return False
        idle = self._last_change <= self._version
        return resource_version <= (self._heard if idle else self._version)

    def _ended(self, task: asyncio.Task[None]) -> None:
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._ending())
        self._waiters = []

    def _ending(self) -> BaseException:
        """Why the loop does not run."""
        if self._task is None or self._task.cancelled() or not self._task.exception():
            return TestbedError(f"the proxy of node {self.node} is not running")
        failure = self._task.exception()
        assert failure is not None
        return failure
