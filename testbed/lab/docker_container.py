"""A container of the daemon, and a command in one, as a pod's programs are seen."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.clock import now_ns
from testbed.errors import NotFound
from testbed.lab.containers import Launch, Running, last_words
from testbed.lab.docker_daemon import Daemon
from testbed.model.containers import Container
from testbed.runtime.interface import ContainerState
from testbed.runtime.processes import LabProcess


@dataclass(slots=True)
class DockerContainer:
    """A container that has started (a `Started`)."""

    daemon: Daemon
    ident: str
    running: Running
    """The lab's process that is at its streams; it ends after the container, with its code."""
    container: Container
    image: str
    """As a container's status says it."""
    message_file: Path
    started_ns: int
    pid: int = 0
    """As the host counts; 0: it had ended before anybody could look."""
    finished_ns: int | None = None
    _said: str | None = None

    async def follow(self) -> None:
        """Note the instant of its end: the kernel's word comes before the daemon's."""
        engine = self.daemon.engine
        self.pid = await self.daemon.do(engine.pid, self.ident)
        try:
            fd = engine.outside.process(self.pid) if self.pid else None
        except NotFound:
            fd = None
        if fd is not None:
            asyncio.get_running_loop().add_reader(fd, self._has_died, fd)

    def _has_died(self, fd: int) -> None:
        self.finished_ns = now_ns()
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)

    def state(self) -> ContainerState:
        process = self.running.process
        finished_ns = None if process.running else self.finished_ns or process.finished_ns
        message = "" if process.running else self._message()
        return ContainerState(
            process.running,
            self.pid,
            self.started_ns,
            finished_ns,
            process.code,
            message,
            self.image,
        )

    def signal(self, signum: int) -> None:
        if self.running.process.running:
            self.daemon.later(self.daemon.engine.signal, self.ident, signum)

    async def ended(self) -> None:
        await self.running.ended()

    def stat(self) -> str:
        """Text of its process's /proc/PID/stat. Raises NotFound."""
        return self.daemon.engine.outside.stat(self.pid)

    def _message(self) -> str:
        if self._said is None:
            self._said = last_words(self.running, self.container, self.message_file)
        return self._said


async def prepared(
    daemon: Daemon, container: str, argv: Sequence[str], *, stdin: bool, tty: bool
) -> tuple[Launch, str]:
    """The lab process that is to run a command in a container, and the command's id."""
    engine = daemon.engine
    env = {"TERM": "xterm"} if tty else {}
    ident = await daemon.do(engine.command, container, argv, stdin=stdin, tty=tty, environment=env)
    config = {"url": engine.url, "exec": ident, "stdin": stdin, "tty": tty}
    return Launch("docker-command", config), ident


@dataclass(slots=True)
class Command:
    """A command in a container, and the lab's process that is at its streams and ends with its code."""

    daemon: Daemon
    ident: str
    process: LabProcess

    @property
    def running(self) -> bool:
        return self.process.running

    @property
    def code(self) -> int | None:
        return self.process.code

    @property
    def ended(self) -> asyncio.Event:
        return self.process.ended

    def signal(self, signum: int) -> None:
        """No error when it has ended. The daemon itself passes no signals to commands."""
        if self.process.running:
            self.daemon.later(self._pass_on, signum)

    def _pass_on(self, signum: int) -> None:
        engine = self.daemon.engine
        pid = engine.command_pid(self.ident)
        if pid:
            engine.outside.signal(pid, signum)
        elif signum == signal.SIGKILL:
            self.process.signal(signum)


@dataclass(slots=True)
class RunningCommand(Running):
    """A command in a container, with our ends of its streams."""

    command: Command | None = None

    def signal(self, signum: int) -> None:
        """No error when it has ended."""
        assert self.command is not None
        self.command.signal(signum)
