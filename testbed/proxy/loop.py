"""One node's proxy: watches the store and keeps the node's kernel in step with it.

It decides nothing about services: the table, the rules and the commands come from pure functions,
and what was done, and when it was true, goes out as `proxy`/`sync` events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from testbed.errors import CommandFailed, TestbedError
from testbed.events import Record
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.proxy.access import Clock, MonotonicClock, NodeAccess, Source
from testbed.proxy.configz import configuration
from testbed.proxy.conntrack_reconciler import ConntrackReconciler
from testbed.proxy.draining import Draining
from testbed.proxy.in_force import InForce
from testbed.proxy.metrics import Metrics, rules_written
from testbed.proxy.pace import Pace, Periods
from testbed.proxy.programme import Plan, Programme, Sync, Taken, alone
from testbed.proxy.ruleset import Backend, Ruleset
from testbed.proxy.status import ProxierStatus
from testbed.proxy.sync_event import sync_event
from testbed.proxy.sync_planner import SyncPlanner
from testbed.proxy.table import ForwardingTable, ProxyConfig
from testbed.store import Change


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
        plan: Plan | None = None,
    ) -> None:
        """`plan` is that of all nodes, where they share their work."""
        self.node = node
        self.metrics = Metrics()
        self.on_programmed: Callable[[ForwardingTable], None] = lambda table: None
        """Told of each table whose rules have come into force."""
        self._source = source
        self._backend = backend
        self._access = access
        self._record = record
        self._config = config
        self._clock = clock or MonotonicClock()
        self._draining = Draining(backend, access)
        self._planner = SyncPlanner(backend, access, self._draining, plan or alone(config, backend))
        self._reconciler = ConntrackReconciler(access, self._clock)
        self._pace = Pace(periods)
        self._wake = asyncio.Event()
        self._stalled = False
        self._stopping = False
        self._syncing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._cancel_watch: Callable[[], None] = lambda: None
        self._programmed: Programme | None = None
        self._trusted = False
        self._in_force = InForce()
        self._oldest_pending_ns: int | None = None
        self._triggers_ns: list[int] = []
        self._error = ""

    # For the lab

    def start(self) -> None:
        """Begin to watch, and sync at once. Needs a running event loop."""
        self._listen()
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
        if not self._in_force.holds(resource_version):
            if self._task is None or self._task.done():
                raise self._ending()
            await self._in_force.wait(resource_version)

    @property
    def error(self) -> str:
        """Why the last sync failed; "" when it did not."""
        return self._error

    @property
    def resource_version(self) -> int:
        """The store's version whose rules are in force; -1 before the first sync."""
        return self._in_force.version

    @property
    def table(self) -> ForwardingTable | None:
        """The table whose rules are in force; None before the first sync."""
        return self._programmed.table if self._programmed else None

    @property
    def rules(self) -> Ruleset | None:
        """The rules in force as they were planned; None before the first sync."""
        return self._programmed.rules if self._programmed else None

    async def observed(self) -> str:
        """What the node holds now, as its tools print it. Raises CommandFailed."""
        return await self._access.read(self._backend.observe())

    @property
    def periods(self) -> Periods:
        """How often it may sync, and when it does anyway."""
        return self._pace.periods

    @property
    def configuration(self) -> dict[str, Any]:
        """Its options as kube-proxy's configuration object, in JSON values."""
        return configuration(self.node, self._backend.name, self._config, self.periods)

    @property
    def status(self) -> ProxierStatus:
        """What the proxy shows of itself now."""
        return ProxierStatus(
            self._config.family,
            self._backend.name,
            self.metrics,
            self.table,
            self.rules,
            self._oldest_pending_ns,
        )

    @property
    def stalled(self) -> bool:
        """It was told to, and has not been told to go on."""
        return self._stalled

    async def stall(self) -> int:
        """Sync no more until `resume`; changes queue up. Returns once no sync is under way, with the
        instant (ns).
        """
        self._stalled = True
        async with self._syncing:
            return self._clock.now_ns()

    def resume(self) -> None:
        """End a stall; what waits is synced as soon as its pace lets it."""
        self._stalled = False
        self._wake.set()

    async def restart(self) -> int:
        """Forget everything, like a new process: it lists anew, reads what the kernel holds, and syncs
        in full. Returns when the old one is gone, after a sync that is under way, with the instant (ns).
        """
        async with self._syncing:
            self._cancel_watch()
            await self._access.restart()
            gone_ns = self._clock.now_ns()
            self._programmed, self._trusted = None, False
            self._reconciler.forget()
            self._pace = Pace(self._pace.periods)
            self.metrics, self._triggers_ns, self._oldest_pending_ns = Metrics(), [], None
            self._stalled = False
            self._listen()
            self._queue()
            return gone_ns

    # The loop

    def _listen(self) -> None:
        self._cancel_watch = self._source.watch(self._changed)
        self._in_force.heard(self._source.snapshot().resource_version, 0)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        slices = [change for change in changes if self._is_our_slice(change.object)]
        services = sum(1 for change in changes if isinstance(change.object, Service))
        own = sum(1 for change in changes if self._is_our_node(change.object))
        concerns = len(slices) + services + own
        if concerns:
            self._triggers_ns += [round(change.written_s * 1e9) for change in slices]
            self.metrics = self.metrics.heard(services, len(slices))
            self._queue()
        self._in_force.heard(self._source.snapshot().resource_version, concerns)

    def _is_our_slice(self, item: Object) -> bool:
        family = f"IPv{self._config.family}"
        return isinstance(item, EndpointSlice) and item.address_type == family

    def _is_our_node(self, item: Object) -> bool:
        return isinstance(item, Node) and item.meta.name == self.node

    def _queue(self) -> None:
        now = self._clock.now_ns()
        self._pace = self._pace.queued(now / 1e9)
        if self._oldest_pending_ns is None:
            self._oldest_pending_ns = now
        self.metrics = replace(self.metrics, last_queued_ns=now)
        self._wake.set()

    async def _main(self) -> None:
        while not self._stopping:
            self._wake.clear()
            dues = [due for due in (self._pace.due_s(), self._draining.due_s) if due is not None]
            wait_s = min(dues) - self._clock.now_ns() / 1e9 if dues else None
            if self._stalled or wait_s is None:
                await self._clock.wait(self._wake, None)
            elif wait_s > 0:
                await self._clock.wait(self._wake, wait_s)
            elif min(dues) == self._pace.due_s():
                await self._run()
            else:
                await self._drain()

    async def _run(self) -> None:
        """One sync, its event, and whoever waited for it."""
        async with self._syncing:
            taken = self._take()
            failure: CommandFailed | None = None
            full = not self._trusted
            try:
                sync = await self._planner.sync(
                    taken.snapshot, self.node, self._programmed, trusted=self._trusted
                )
                full = sync.full
                await self._programme(sync, taken)
                rules = await self._draining.finish(sync.next.rules, self._clock.now_ns() / 1e9)
                self._programmed = replace(sync.next, rules=rules)
            except CommandFailed as error:
                failure = error
                self._trusted = False
                self.metrics = self.metrics.failed(full=full)
            now_ns = self._clock.now_ns()
            self.metrics = self.metrics.synced((now_ns - taken.start_ns) / 1e9, full=full)
            self._error = "" if failure is None else str(failure)
            self._pace = self._pace.ended(now_ns / 1e9, failed=failure is not None)

    async def _drain(self) -> None:
        """Remove what has ended of what was withdrawn; where it fails, a sync finds out what there is."""
        async with self._syncing:
            before = self._programmed
            if before is None:
                self._draining.due_s = None
                return
            try:
                now_s = self._clock.now_ns() / 1e9
                rules = await self._draining.finish(before.rules, now_s)
                self._programmed = replace(before, rules=rules)
            except CommandFailed as failure:
                self._error, self._trusted = str(failure), False
                self._queue()

    def _take(self) -> Taken:
        """What the sync that starts now is about: all changes so far."""
        self._pace = self._pace.started()
        self._in_force.taking()
        taken = Taken(
            snapshot=self._source.snapshot(),
            start_ns=self._clock.now_ns(),
            queued_ns=self._oldest_pending_ns,
            service_changes=self.metrics.service_changes_pending,
            endpoint_changes=self.metrics.endpoint_changes_pending,
            triggers_ns=tuple(self._triggers_ns),
        )
        self.metrics = self.metrics.took()
        return taken

    async def _programme(self, sync: Sync, taken: Taken) -> None:
        start_ns = self._clock.now_ns()
        error = ""
        try:
            if sync.commands:
                await self._access.run(sync.commands)
        except TestbedError as failure:
            error = str(failure)
            raise
        finally:
            end_ns = self._clock.now_ns()
            place = self.node, self.status.ip_family
            self._record(sync_event(place, sync, taken, (start_ns, end_ns), error))
        self._programmed, self._trusted = sync.next, True
        self._came_into_force(sync, taken, end_ns)
        try:
            if done := await self._reconciler.reconcile(sync.next.table):
                self.metrics = self.metrics.reconciled(done.duration_s, done.deleted)
        finally:
            self._in_force.programmed(taken.snapshot.resource_version)

    def _came_into_force(self, sync: Sync, taken: Taken, end_ns: int) -> None:
        queued_s = self._pace.queued_s  # by changes that came meanwhile
        self._oldest_pending_ns = None if queued_s is None else round(queued_s * 1e9)
        del self._triggers_ns[: len(taken.triggers_ns)]
        self.metrics = replace(
            self.metrics.programmed(end_ns, taken.triggers_ns),
            rules_last=rules_written(sync.commands),
        )
        self.on_programmed(sync.next.table)

    # Its end

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_force.end(self._ending())

    def _ending(self) -> BaseException:
        """Why the loop does not run."""
        if self._task is None or self._task.cancelled() or not self._task.exception():
            return TestbedError(f"the proxy of node {self.node} is not running")
        failure = self._task.exception()
        assert failure is not None
        return failure
