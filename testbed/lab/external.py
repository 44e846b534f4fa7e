"""Somebody else's proxy on a node: its command, kept running, and the API server that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import CLOCK_REALTIME, clock_gettime
from urllib.parse import urlsplit

from testbed.apiserver.documents import kubeconfig
from testbed.apiserver.feed import Source as ApiSource
from testbed.apiserver.presented import Face
from testbed.apiserver.server import ApiServer
from testbed.clock import now_ns, now_s
from testbed.command import Command
from testbed.controllers.asking import ask
from testbed.errors import TestbedError
from testbed.events import Event, Record
from testbed.kernel import netns
from testbed.kernel.run import Shell
from testbed.lab.containers import all_of
from testbed.lab.external_command import Blanks, filled
from testbed.model.containers import Container, HTTPGetAction, Probe
from testbed.model.proxy_process import External
from testbed.model.topology import Topology
from testbed.runtime.inside import CANNOT_EXECUTE, NOT_FOUND
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes

API_ADDRESS = ("127.0.0.1", 8001)
"""Where every node finds the API, in its own network namespace: `kubectl proxy`'s port."""
_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.5, 10.0
"""Between the end of a command and its next start, doubling while it ends soon."""
_READY_S = 0.1
"""From one look at readiness to the next."""
_MOMENT_S = 0.3
"""A command that runs for so long took its arguments."""
_GRACE_S = 2.0
_LAST_LINES = 8
"""Of its log, told when it ends."""
_HOPELESS = frozenset({CANNOT_EXECUTE, NOT_FOUND})
"""Codes after which starting it again would change nothing."""


@dataclass(frozen=True, slots=True)
class ExternalNode:
    """Where one runs."""

    name: str
    namespace: int
    address: str
    shell: Shell


class ExternalProxies:
    """Makes those of a lab's nodes."""

    def __init__(
        self, topology: Topology, folder: Path, processes: Processes, record: Record
    ) -> None:
        self._topology = topology
        self._folder = folder
        self._processes = processes
        self._record = record
        self._api = "http://{}:{}".format(*API_ADDRESS)
        self._kubeconfig = folder / "kubeconfig"
        self._kubeconfig.write_text(json.dumps(kubeconfig(self._api, topology.name)))

    def new(self, node: ExternalNode, source: ApiSource) -> ExternalProxy:
        """A node's; `source` is what its API server tells."""
        network = self._topology.network
        folder = self._folder / "external" / node.name
        folder.mkdir(parents=True, exist_ok=True)
        blanks = Blanks(
            node=node.name,
            node_ip=node.address,
            kubeconfig=str(self._kubeconfig),
            api=self._api,
            cluster_cidr=",".join(map(str, network.pod_cidrs)),
            service_cidr=",".join(map(str, network.service_cidrs)),
            folder=str(folder),
        )
        face = Face(tuple(map(str, network.service_cidrs)), clock_gettime(CLOCK_REALTIME) - now_s())
        return ExternalProxy(
            node,
            self._topology.proxy.external,
            blanks,
            ApiServer(source, face, partial(_posted, self._record, node.name)),
            processes=self._processes,
            record=self._record,
        )


class ExternalProxy:
    """One node's (what a `ProxyLoop` is in other modes; nobody knows when its rules are in force)."""

    def __init__(
        self,
        node: ExternalNode,
        settings: External,
        blanks: Blanks,
        api: ApiServer,
        *,
        processes: Processes,
        record: Record,
    ) -> None:
        self._node = node
        self._settings = settings
        self._blanks = blanks
        self._processes = processes
        self._record = record
        self._api = api
        self._task: asyncio.Task[str] | None = None
        self._process: LabProcess | None = None
        self._found: asyncio.Future[bool] | None = None
        """Whether its process could become the command."""
        self._running = asyncio.Event()
        self._error = ""
        self._stalled = False
        self.log = Path(blanks.folder) / "log"
        """Path of what the command prints."""

    @property
    def error(self) -> str:
        """Why it is not in place; "" while nothing is known against it."""
        return self._error

    @property
    def stalled(self) -> bool:
        """It was told to, and has not been told to go on."""
        return self._stalled

    def start(self) -> None:
        """Serve the API on the node, and start the command."""
        self._task = asyncio.get_running_loop().create_task(self._main())
        self._task.add_done_callback(lambda _: self._running.set())  # whoever waits shall hear

    async def stop(self) -> None:
        """End the command, and the API with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None:
            await self._end(self._process)
        await self._api.stop()

    async def synced(self, _resource_version: int) -> None:
        """Returns when it is in place: its readiness check succeeds; without one, when it has run for a
        moment.

        Raises TestbedError where it has ended for good.
        """
        await self._runs()
        while True:
            problem = await self._unready() if self._settings.ready else await self._short_lived()
            if not problem:
                self._error = ""
                return
            self._error = problem
            await asyncio.sleep(_READY_S)
            await self._runs()

    async def observed(self) -> str:
        """What `proxy.external.rules` prints on the node. Raises CommandFailed."""
        return await self._node.shell.output(Command(filled(self._settings.rules, self._blanks)))

    async def stall(self) -> int:
        """Stop the command (SIGSTOP) until `resume`; the instant (ns)."""
        self._signal(signal.SIGSTOP)
        self._stalled = True
        return now_ns()

    def resume(self) -> None:
        """Let the command go on."""
        self._signal(signal.SIGCONT)
        self._stalled = False

    async def restart(self) -> int:
        """Kill the command; it is started again at once. Returns the instant (ns) it had ended."""
        process = self._process
        if process is not None:
            self._process = None  # ended on purpose: it is no failure
            await self._end(process)
        self._stalled = False
        return now_ns()

    def _signal(self, signum: int) -> None:
        """To the command and whatever it has started (it leads a session)."""
        if self._process is not None and self._process.running:
            os.killpg(self._process.pid, signum)

    async def _end(self, process: LabProcess) -> None:
        process.signal(signal.SIGCONT)
        await process.end(_GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    # The command

    async def _main(self) -> str:
        """Returns why the command has ended for good. Raises OSError where the API cannot be served."""
        with netns.entered(self._node.namespace):
            sock = socket.create_server(API_ADDRESS)
        await self._api.start(sock)
        pause_s = _FIRST_RESTART_S
        while True:
            process = self._process = await self._start()
            self._running.set()
            self._tell("external-started", pid=process.pid)
            await process.ended.wait()
            self._running.clear()
            on_purpose, self._process = self._process is not process, None
            self._tell("external-exited", code=process.code, on_purpose=on_purpose)
            if on_purpose:
                continue
            self._error = self._why(process)
            if self._settings.restart_policy == "Never" or process.code in _HOPELESS:
                return self._error
            lived_s = ((process.finished_ns or now_ns()) - process.started_ns) / 1e9
            pause_s = _FIRST_RESTART_S if lived_s > _LONGEST_RESTART_S else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_RESTART_S)

    async def _start(self) -> LabProcess:
        heard, said = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._found = asyncio.ensure_future(_nothing_said(heard))
        try:
            with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
                fds = [nothing.fileno(), log.fileno(), log.fileno(), said]
                return await self._execute(self._settings.command, fds)
        finally:
            os.close(said)

    async def _execute(self, command: tuple[str, ...], fds: list[int]) -> LabProcess:
        settings = {
            key: filled([text], self._blanks)[0] for key, text in self._settings.env.items()
        }
        config = {
            "argv": list(filled(command, self._blanks)),
            "env": {
                **os.environ,
                **self._node.shell.environment,
                "KUBECONFIG": self._blanks.kubeconfig,
                **settings,
            },
            "hostname": self._node.name,
            "resolv_conf": "",
            "hosts": "",
            "tty": False,
        }
        return await self._processes.execute(config, path_of(self._node.namespace), fds)

    def _why(self, process: LabProcess) -> str:
        last = " | ".join(self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        return f"the external proxy ended with code {process.code}, and last said: {last[-2000:]}"

    async def _runs(self) -> None:
        await self._running.wait()
        if self._task is not None and self._task.done():
            if not self._task.cancelled():
                self._error = self._task.result()
            raise TestbedError(f"node {self._node.name}: {self._error}")

    async def _short_lived(self) -> str:
        """Why it does not run any more after a moment; "" where it does."""
        process, found = self._process, self._found
        if process is None or found is None:
            return "it is being started again"
        moment_s = _MOMENT_S if await asyncio.shield(found) else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.ended.wait(), moment_s)
            return self._why(process)
        return ""

    async def _unready(self) -> str:
        """Why the readiness check fails; "" when it does not."""
        ready = self._settings.ready
        assert ready is not None
        if ready.http:
            return await self._unready_http(*filled([ready.http], self._blanks))
        with Path(os.devnull).open("r+b") as nothing:
            process = await self._execute(ready.exec, [nothing.fileno()] * 3)
            try:
                await process.ended.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.signal(signal.SIGKILL)
        return f"its readiness command ends with code {process.code}" if process.code else ""

    async def _unready_http(self, url: str) -> str:
        parts = urlsplit(url)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        probe = Probe(HTTPGetAction(path, parts.port or 80))
        found = await ask(
            self._make_socket, parts.hostname or "", Container("proxy", "external"), probe
        )
        return found.message

    def _make_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        with netns.entered(self._node.namespace):
            sock = socket.socket(family, kind)
        sock.setblocking(False)
        return sock

    # Events

    def _tell(self, kind: str, **detail: object) -> None:
        self._record(Event(now_ns(), "proxy", self._node.name, kind, "", 0, detail))


async def _nothing_said(fd: int) -> bool:
    return not await all_of(fd)


def _posted(record: Record, node: str, event: dict[str, object]) -> None:
    """An event that a proxy posted to the API: its own words, with the time at which they came."""
    kind = str(event.get("reason") or "event")
    record(Event(now_ns(), "api", node, kind, "", 0, dict(event)))
