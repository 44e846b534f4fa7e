"""One machine's BIRD: started in its namespace, kept running, told of each new configuration."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from time import CLOCK_REALTIME, clock_gettime_ns

from testbed.clock import now_ns
from testbed.errors import TestbedError
from testbed.kernel.search_path import tool_path, with_admin_folders
from testbed.lab.pipe_lines import PipeLines
from testbed.lab.registry import MARKER
from testbed.podnet.bird import STARTED, state_change
from testbed.podnet.network import Daemon
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes

CONFIG, CONTROL, LOG = "bird.conf", "control", "bird.log"
"""Files in its folder. Paths of sockets are short, so that it works from there."""
_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.5, 10.0
"""From its unforeseen end to its next start, doubling while it ends soon."""
_LAST_LINES = 4

Tell = Callable[[int, str, str, Mapping[str, object]], None]
"""Of (t_ns, kind, object, detail): an event of its machine."""


class Bird:
    """`namespace` is a descriptor of its machine's."""

    def __init__(
        self, name: str, namespace: int, folder: Path, processes: Processes, tell: Tell
    ) -> None:
        self._name = name
        self._namespace = namespace
        self._folder = folder
        self._processes = processes
        self._tell = tell
        self._daemon: Daemon | None = None
        self._read = ""
        """The configuration that it has read, or was told to."""
        self._process: LabProcess | None = None
        self._takes_signals = False
        self._task: asyncio.Task[None] | None = None
        self._has_spoken = False
        self._up: set[str] = set()
        """Sessions."""
        self._last: list[str] = []
        """Lines of its log that are no news of a session."""
        folder.mkdir(parents=True, exist_ok=True)
        _write_wrapper(folder)

    @property
    def trouble(self) -> str:
        """Why it does not run; "" where it does, or has not ended yet."""
        if self._process is not None or not self._last:
            return ""
        return f"bird on {self._name} ended: {' | '.join(self._last)}"

    def configure(self, daemon: Daemon) -> None:
        """Start it, or let it go on with this configuration: sessions that stay are not touched."""
        if self._daemon == daemon:
            return
        self._daemon = daemon
        fresh = self._folder / f".{CONFIG}"
        fresh.write_text(daemon.config)
        fresh.rename(self._folder / CONFIG)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._main())
        self._read_again()

    def abandon(self) -> None:
        """Its machine has no power: whatever becomes of it, it is not started again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._down("power")

    async def end(self) -> None:
        """Its machine is no more."""
        self.abandon()
        if self._process is not None:
            await self._process.end()

    async def _main(self) -> None:
        pause_s = _FIRST_RESTART_S
        while True:
            start_ns = now_ns()
            try:
                await self._run(await self._start())
            except TestbedError as error:  # no process could be made
                self._last = [str(error)]
            if (now_ns() - start_ns) / 1e9 > _LONGEST_RESTART_S:
                pause_s = _FIRST_RESTART_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_RESTART_S)

    async def _run(self, process: LabProcess) -> None:
        """Until it has ended."""
        self._process = process
        self._tell(process.started_ns, "speaker-started", "", {"pid": process.pid})
        await process.ended.wait()
        self._process, self._takes_signals = None, False
        self._tell(process.finished_ns or now_ns(), "speaker-ended", "", {"code": process.code})
        self._down("ended")

    async def _start(self) -> LabProcess:
        """Once it has spoken, its peers and the kernel may still have its routes, which it finds back into.
        Calico's does so from its first start on; then a peer that is away holds up its routes for minutes.
        """
        assert self._daemon is not None
        self._read = self._daemon.config
        recover = " -R" if self._has_spoken else ""
        line = (
            f"cd {shlex.quote(str(self._folder))} && exec bird -f{recover} -c {CONFIG} -s {CONTROL}"
        )
        config = {
            "argv": ["sh", "-c", line],
            "env": {
                **{key: os.environ[key] for key in (MARKER,) if key in os.environ},
                "PATH": tool_path(),
                "TZ": "UTC",
                "LC_ALL": "C",
            },
            "hostname": self._name,
            "resolv_conf": "",
            "hosts": "",
            "tty": False,
        }
        ours, theirs = os.pipe()
        PipeLines(ours, self._hear)
        try:
            with Path(os.devnull).open("rb") as nothing:
                fds = [nothing.fileno(), theirs, theirs]
                return await self._processes.execute(config, path_of(self._namespace), fds)
        finally:
            os.close(theirs)

    def _read_again(self) -> None:
        """By SIGHUP, which would end one that has not got as far as to take it."""
        assert self._daemon is not None
        if self._takes_signals and self._process is not None and self._read != self._daemon.config:
            self._read = self._daemon.config
            self._process.signal(signal.SIGHUP)

    def _hear(self, line: str) -> None:
        change = state_change(line)
        if line.endswith(STARTED):
            self._takes_signals = True
            self._last.clear()
            self._read_again()
        elif change is None:
            if "<TRACE>" not in line:
                self._last = [*self._last[1 - _LAST_LINES :], line]
        elif self._daemon is not None and change.session in self._daemon.peers:
            behind_ns = clock_gettime_ns(CLOCK_REALTIME) - now_ns()
            t_ns = change.since_epoch_us * 1000 - behind_ns
            if change.is_up:
                self._has_spoken = True
                self._up.add(change.session)
                self._session(t_ns, "session-up", change.session, {})
            elif change.session in self._up:
                self._up.discard(change.session)
                self._session(t_ns, "session-down", change.session, {"reason": change.state})

    def _down(self, reason: str) -> None:
        """All of its sessions have ended with it."""
        for session in sorted(self._up):
            self._session(now_ns(), "session-down", session, {"reason": reason})
        self._up.clear()

    def _session(self, t_ns: int, kind: str, session: str, detail: Mapping[str, object]) -> None:
        peer = self._daemon.peers.get(session, "") if self._daemon is not None else ""
        self._tell(t_ns, kind, peer, {"session": session, **detail})


def _write_wrapper(folder: Path) -> None:
    """`birdc` and `birdcl` for whoever is on the machine: they find its socket without being told."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for tool in ("birdc", "birdcl"):
        path = with_admin_folders("$PATH").replace("$PATH:", "")
        file = tools / tool
        file.write_text(
            f"#!/bin/sh\ncd {shlex.quote(str(folder))} || exit\nPATH={path}:/usr/bin:/bin\n"
            f'exec {tool} -s {CONTROL} "$@"\n'
        )
        file.chmod(0o755)
