"""The ingress controllers of a lab: a HAProxy in each of their pods, and what tells it of the cluster."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.clock import now_ns
from testbed.edge.haproxy_text import Configuration
from testbed.edge.ingress import WATCHED, served
from testbed.edge.ingress_config import Site, configuration
from testbed.edge.ingress_options import Options, options_of
from testbed.edge.ingress_routes import Trouble
from testbed.errors import TestbedError
from testbed.events import Event, Record
from testbed.lab.authority import Authority
from testbed.lab.haproxy import Applied, Haproxy
from testbed.lab.node_watch import NodeWatch
from testbed.runtime.interface import ContainerState
from testbed.runtime.netns import Place
from testbed.runtime.processes import Processes
from testbed.store import Change, Store

TITLE = "host://haproxy"
"""What runs in the name of the image."""
SOURCE = "ingress"
"""Of the events."""
_KINDS = frozenset(kind.kind for kind in WATCHED)
_RETRY_S = 1.0
"""Until a configuration that HAProxy did not take is tried again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all controllers of a lab share."""

    store: Store
    folder: Path
    processes: Processes
    record: Record
    authority: Authority
    watch_delay_s: Callable[[], float] | None


class IngressController:
    """One pod's (a `Started`)."""

    def __init__(self, place: Place, options: Options, parts: Parts) -> None:
        pod = place.pod
        self.pod = f"{pod.meta.namespace}/{pod.meta.name}"
        self.node = place.node
        self.trouble = ""
        """Why HAProxy has not what it should have."""
        families = tuple(sorted(one.version for one in place.addresses))
        self._site = Site(families, parts.authority.default_pem)
        self._options = options
        self._record = parts.record
        self._folder = parts.folder / pod.meta.uid
        self.haproxy = Haproxy(pod.meta.name, place.netns, self._folder, parts.processes)
        self.watch = NodeWatch(parts.store, parts.watch_delay_s)
        self._have: Configuration | None = None
        self._told: frozenset[Trouble] = frozenset()
        self._busy = False
        self._changed, self._news = asyncio.Event(), asyncio.Event()
        self._leave: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when HAProxy serves what there is. Raises TestbedError."""
        self._leave = self.watch.watch(self._hear)
        want, troubles, version = self._wanted()
        start_ns = now_ns()
        try:
            await self.haproxy.start(want)
        except TestbedError:
            self._leave()
            raise
        self._have = want
        self._done(Applied(start_ns, now_ns(), 0, "start"), version, troubles)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def state(self) -> ContainerState:
        process = self.haproxy.process
        return ContainerState(
            process.running,
            process.pid,
            process.started_ns,
            process.finished_ns,
            process.code,
            stands_in=TITLE,
        )

    def signal(self, signum: int) -> None:
        """Asked to end, it ends with its last connection: what the image says by STOPSIGNAL SIGUSR1."""
        self.haproxy.signal(signal.SIGUSR1 if signum == signal.SIGTERM else signum)

    async def ended(self) -> None:
        await self.haproxy.process.ended.wait()

    async def synced(self, version: int) -> None:
        """Return when HAProxy has all that concerns it of a version of the store, or is no more."""
        while self.haproxy.process.running and (
            self._busy or self._changed.is_set() or self.watch.snapshot().resource_version < version
        ):
            self._news.clear()
            await self._news.wait()

    def _hear(self, changes: tuple[Change, ...]) -> None:
        if any(change.object.kind in _KINDS for change in changes):
            self._changed.set()
        self._news.set()

    def _wanted(self) -> tuple[Configuration, tuple[Trouble, ...], int]:
        snapshot = self.watch.snapshot()
        found, troubles = served(snapshot, self._options, self._site.families)
        want = configuration(self._options, self._site, found, self._have)
        return want, troubles, snapshot.resource_version

    async def _follow(self) -> None:
        ended = asyncio.ensure_future(self.haproxy.process.ended.wait())
        while not ended.done():
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait((changed, ended), return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if not ended.done():
                await asyncio.sleep(await self._sync())
        self._leave()
        self._news.set()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _sync(self) -> float:
        """Returns how long to wait before the next one."""
        self._changed.clear()
        self._busy = True
        want, troubles, version = self._wanted()
        try:
            applied = await self.haproxy.apply(want)
        except TestbedError as error:
            self.trouble = str(error)
            self._tell("failed", version, {"error": str(error)})
            self._changed.set()
            return _RETRY_S
        self._have = want
        self._done(applied, version, troubles)
        return self._options.sync_period_s

    def _done(self, applied: Applied, version: int, troubles: tuple[Trouble, ...]) -> None:
        self.trouble, self._busy = "", False
        self._news.set()
        if applied.why or applied.commands:
            detail = {
                "start_ns": applied.start_ns,
                "commands": applied.commands,
                "reload": applied.why,
            }
            self._tell("synced", version, detail, applied.end_ns)
        for one in troubles:
            if one not in self._told:
                self._say(one, version)
        self._told = frozenset(troubles)

    def _say(self, trouble: Trouble, version: int) -> None:
        about = "/".join(trouble.ingress)
        self._record(
            Event(
                now_ns(),
                SOURCE,
                self.node,
                trouble.reason,
                about,
                version,
                {"message": trouble.message, "pod": self.pod},
            )
        )

    def _tell(
        self, kind: str, version: int, detail: dict[str, object], t_ns: int | None = None
    ) -> None:
        self._record(Event(t_ns or now_ns(), SOURCE, self.node, kind, self.pod, version, detail))


class IngressControllers:
    """All of one lab's; they hear nothing while their node is cut off (a `control_touch.Listener`)."""

    def __init__(self, parts: Parts) -> None:
        self.authority = parts.authority
        self._parts = parts
        self._running: list[IngressController] = []

    async def start(self, place: Place) -> IngressController:
        """Start one. Raises UsageError for its arguments, MissingFeature, TestbedError."""
        options = options_of(place.container.args)
        controller = IngressController(place, options, self._parts)
        await controller.start()
        self._running = [one for one in self._running if one.state().running]
        self._running.append(controller)
        return controller

    @property
    def running(self) -> bool:
        """Whether there is any."""
        return any(one.state().running for one in self._running)

    def hold(self, node: str) -> None:
        for one in self._on(node):
            one.watch.hold()

    def release(self, node: str) -> None:
        for one in self._on(node):
            one.watch.release()

    async def synced(self, version: int) -> None:
        """Return when all have what concerns them of a version of the store."""
        await asyncio.gather(*(one.synced(version) for one in self._running))

    @property
    def trouble(self) -> str:
        """What the first HAProxy that did not take its configuration says; "" where all have."""
        return next((one.trouble for one in self._running if one.trouble), "")

    def _on(self, node: str) -> list[IngressController]:
        return [one for one in self._running if one.node == node and one.state().running]
