"""One DNS pod's program, as its container: started with all names, told of each change, its log kept."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from testbed.clock import now_ns
from testbed.dns.external import Program, Step
from testbed.dns.wire import (
    NOERROR,
    NXDOMAIN,
    TXT,
    Record,
    WireError,
    decode_response,
    encode_query,
)
from testbed.dns.zone_listing import Records, ZoneListing
from testbed.errors import TestbedError
from testbed.events import Event
from testbed.events import Record as Tell
from testbed.kernel import netns
from testbed.kernel.run import run
from testbed.kernel.search_path import tool_path
from testbed.lab.container_log import ContainerLog
from testbed.lab.registry import MARKER
from testbed.runtime.interface import ContainerState
from testbed.runtime.netns import Place
from testbed.runtime.processes import LabProcess, Processes

_PORT = 53
_ASK_AGAIN_S = 0.05
"""From one look whether it answers to the next."""
_GRACE_S = 2.0
_LAST_LINES, _LAST_BYTES = 4, 2048
"""Of its log, told when it has ended."""
_AGAIN_S = 0.5
"""From a failure to the next attempt."""


class ExternalServer:
    """A container that is a DNS program (a `Started`). Its process is replaced by another one where the program
    reads something only when it starts; to its pod that is no restart.
    """

    def __init__(
        self, place: Place, program: Program, listing: ZoneListing, processes: Processes, tell: Tell
    ) -> None:
        self.node = place.node
        self.log = ContainerLog()
        self._place = place
        self._program = program
        self._listing = listing
        self._processes = processes
        self._tell = tell
        self._folder = Path()
        self._process: LabProcess | None = None
        self._since_ns = 0
        self._replacing = False
        self._over = asyncio.Event()
        self._held = False
        self._due = asyncio.Event()
        self._due_ns = 0
        self._before: dict[str, tuple[Record, ...]] = {}
        """What it still says of names that have other records now."""
        self._has_read = asyncio.Event()
        self._commands = ThreadPoolExecutor(1)
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._rest = b""
        self.log.listeners.append(self._heard)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def state(self) -> ContainerState:
        process = self._process
        assert process is not None
        over = self.over
        return ContainerState(
            not over,
            process.pid,
            self._since_ns,
            process.finished_ns if over else None,
            process.code if over else None,
            message=self.log.tail(_LAST_LINES, _LAST_BYTES) if over else "",
            stands_in=f"host://{self._program.argv[0]}",
        )

    def signal(self, signum: int) -> None:
        if signum in (signal.SIGTERM, signal.SIGKILL):
            self._replacing = False
        if self._process is not None:
            self._process.signal(signum)

    async def ended(self) -> None:
        await self._over.wait()

    async def start(self, folder: Path) -> None:
        """Returns when it answers, or has ended. Raises TestbedError where no process could be made."""
        self._folder = folder
        started_ns = now_ns()
        await self._begin()
        assert self._process is not None
        self._since_ns = self._process.started_ns
        if not self.over:
            self._synced(
                started_ns, started_ns, {"full": True, "names": len(self._listing.records)}
            )
            self._task = asyncio.create_task(self._follow())

    def changed(self, before: Records) -> None:
        """Some names have other records than these now."""
        if not before:
            return
        if not self._before:
            self._due_ns = now_ns()
        for name, records in before.items():
            self._before.setdefault(name, records)
        self._nudge()

    def hold(self, *, held: bool) -> None:
        """It hears nothing, or (again) all that it has missed."""
        self._held = held
        self._nudge()

    def _nudge(self) -> None:
        if self._before and not self._held:
            self._due.set()

    # Its process

    async def _begin(self) -> None:
        """A process that has read all names there are; returns when it answers, or has ended."""
        self._before.clear()
        self._write(self._program.files(self._listing.records))
        self._has_read.clear()
        process = self._process = await self._execute()
        self._replacing = False
        self._watching = asyncio.create_task(self._watch(process))
        while not (self.over or (self._knows_all() and await self._answers())):
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _watch(self, process: LabProcess) -> None:
        await process.ended.wait()
        if not self._replacing:
            self._over.set()
            self._commands.shutdown(wait=False)
            if self._task is not None:
                self._task.cancel()

    def _knows_all(self) -> bool:
        return self._has_read.is_set() or not self._program.says_when

    async def _execute(self) -> LabProcess:
        config = {
            "argv": list(self._program.argv),
            "env": {
                **{key: os.environ[key] for key in (MARKER,) if key in os.environ},
                "PATH": tool_path(),
                "LC_ALL": "C",
            },
            "hostname": self._place.pod.meta.name,
            "resolv_conf": "",
            "hosts": "",
            "tty": False,
        }
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self.log.read_from(ours, "stderr")
        try:
            with Path(os.devnull).open("rb") as nothing:
                fds = [nothing.fileno(), theirs, theirs]
                return await self._processes.execute(config, self._place.netns, fds)
        finally:
            os.close(theirs)

    async def _replace(self) -> None:
        process = self._process
        assert process is not None
        self._replacing = True
        await process.end(_GRACE_S)
        if self._replacing:
            try:
                await self._begin()
            except TestbedError:  # no process could be made: its pod starts it again
                self._over.set()
        else:  # somebody has ended it meanwhile
            await self._watch(process)

    async def _answers(self) -> bool:
        """Whether it knows the zone."""
        address = self._place.addresses[0]
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        with netns.entered(self._place.netns):
            asking = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        name = f"dns-version.{self._listing.zone.options.domain}"
        with asking, suppress(OSError, TimeoutError, WireError):
            asking.connect((str(address), _PORT))
            asking.send(encode_query(os.getpid() & 0xFFFF, name, TXT))
            loop = asyncio.get_running_loop()
            data = await asyncio.wait_for(loop.sock_recv(asking, 4096), _AGAIN_S)
            return decode_response(data).rcode in (NOERROR, NXDOMAIN)
        return False

    # What it is told

    async def _follow(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if not self._before or self._held:
                continue
            due_ns, start_ns, before = self._due_ns, now_ns(), dict(self._before)
            self._before.clear()
            step = self._program.update(before, self._listing.records)
            detail: dict[str, object] = {"full": step.restart, "names": len(before)}
            try:
                await self._take(step)
            except TestbedError as error:
                detail["error"] = str(error)
                await asyncio.sleep(_AGAIN_S)
                await self._replace()
            self._synced(due_ns, start_ns, detail)
            self._nudge()

    async def _take(self, step: Step) -> None:
        """Raises TestbedError where the program's tool says no."""
        self._write(step.files)
        loop = asyncio.get_running_loop()
        for command in step.commands:
            await loop.run_in_executor(self._commands, run, command)
        if step.restart:
            await self._replace()
        elif step.hang_up:
            self._has_read.clear()
            self.signal(signal.SIGHUP)
            if self._program.says_when:
                await self._has_read.wait()

    def _synced(self, due_ns: int, start_ns: int, detail: dict[str, object]) -> None:
        pod, end_ns = self._place.pod.meta, now_ns()
        times = {"queued_ns": due_ns, "start_ns": start_ns, "end_ns": end_ns}
        what = f"{pod.namespace}/{pod.name}"
        version = self._listing.zone.resource_version
        self._tell(Event(end_ns, "dns", self.node, "sync", what, version, {**times, **detail}))

    def _write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            fresh = self._folder / f".{name}"
            fresh.write_text(text)
            fresh.rename(self._folder / name)

    def _heard(self, _stream: str, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if any(self._program.has_read(line.decode(errors="replace")) for line in lines):
            self._has_read.set()
