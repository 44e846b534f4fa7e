"""Containers that run a program: started, joined by further commands, watched, and what they printed kept."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.lab.container_log import ContainerLog
from testbed.model.containers import Container
from testbed.runtime.container_root import Mount
from testbed.runtime.interface import ContainerState
from testbed.runtime.processes import LabProcess, Processes

_MAX_MESSAGE_BYTES = 4096
_FALLBACK_LINES, _FALLBACK_BYTES = 80, 2048
"""Of FallbackToLogsOnError."""


class StartError(TestbedError):
    """The program of a container could not be started; `code` is what a shell would have said."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a process in a container is made of; `env` is all of its environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    hostname: str
    netns: str
    scratch: Path
    avoid: Path
    mounts: tuple[Mount, ...] = ()
    builtin: str = ""
    cwd: str = ""
    user: int | None = None
    group: int | None = None

    def config(self, *, tty: bool, join: int | None) -> dict[str, Any]:
        """For `container_process.become`."""
        return {
            "argv": list(self.argv),
            "builtin": self.builtin,
            "env": dict(self.env),
            "cwd": self.cwd,
            "hostname": self.hostname,
            "tty": tty,
            "user": self.user,
            "group": self.group,
            "join": join,
            "root": {
                "scratch": str(self.scratch),
                "avoid": str(self.avoid),
                "mounts": [[one.source, one.target, one.read_only] for one in self.mounts],
            },
        }


@dataclass(slots=True)
class Running:
    """A process in a container, with our ends of its standard streams.

    `process` waits for the program, whose own pid is `pid`, and ends with its code.
    """

    process: LabProcess
    pid: int
    log: ContainerLog
    stdin: int | None = None
    terminal: int | None = None
    """Our end of its terminal, where it has one."""

    def signal(self, signum: int) -> None:
        """No error when it has ended."""
        if self.process.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    @property
    def output(self) -> ContainerLog:
        return self.log

    async def feed(self, data: bytes) -> None:
        """To its standard input; returns when it has taken it. Raises OSError when nobody reads it."""
        while data and self.stdin is not None:
            try:
                data = data[os.write(self.stdin, data) :]
            except BlockingIOError:
                await _writable(self.stdin)

    def close_stdin(self) -> None:
        """It reads the end of its input. Idempotent."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = self.terminal = None

    def resize(self, columns: int, rows: int) -> None:
        """Of its terminal."""
        if self.terminal is not None:
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def ended(self) -> int:
        """Its exit code, when it has ended and all that it printed is read."""
        await self.process.ended.wait()
        self.log.drain()
        self.close_stdin()
        assert self.process.code is not None
        return self.process.code


@dataclass(frozen=True, slots=True)
class Launch:
    """A lab process that is a program, or stands for one: its main, its settings, and where it is."""

    main: str
    config: dict[str, Any]
    netns: str = ""


async def run(
    processes: Processes,
    recipe: Recipe,
    *,
    stdin: bool = False,
    tty: bool = False,
    join: int | None = None,
) -> Running:
    """Start a program in a container, or beside the process `join` of one. Raises StartError."""
    what = Launch("container", recipe.config(tty=tty, join=join), recipe.netns)
    return await launch(processes, what, stdin=stdin, tty=tty)


async def launch(
    processes: Processes, what: Launch, *, stdin: bool = False, tty: bool = False
) -> Running:
    """Start a process with streams of its own. Raises StartError."""
    log = ContainerLog()
    ends = _terminal() if tty else _pipes(stdin)
    heard, said = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(said, True)
    try:
        process = await processes.execute(what.config, what.netns, [*ends.theirs, said], what.main)
    except BaseException:
        ends.close_ours()
        os.close(heard)
        raise
    finally:
        os.close(said)
        for fd in set(ends.theirs):
            os.close(fd)
    running = Running(process, process.pid, log, ends.stdin, ends.terminal)
    for fd, stream in ends.outputs:
        log.read_from(fd, stream)
    await _begun(running, await all_of(heard))
    return running


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _begun(running: Running, report: str) -> None:
    for line in report.splitlines():
        word, _, rest = line.partition(" ")
        if word == "pid":
            running.pid = int(rest)
        elif word == "error":
            code, _, text = rest.partition(" ")
            await running.ended()
            running.log.close()
            raise StartError(text, int(code))


async def all_of(fd: int) -> str:
    """What is written to a pipe until its last writer has gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    try:
        return (await reader.read()).decode(errors="replace")
    finally:
        transport.close()


@dataclass(frozen=True, slots=True)
class _Ends:
    theirs: list[int]
    outputs: list[tuple[int, str]]
    stdin: int | None = None
    terminal: int | None = None

    def close_ours(self) -> None:
        for fd in {fd for fd, _ in self.outputs} | {self.stdin} - {None}:
            assert fd is not None
            os.close(fd)


def _pipes(stdin: bool) -> _Ends:
    out, out_theirs = os.pipe2(os.O_CLOEXEC)
    err, err_theirs = os.pipe2(os.O_CLOEXEC)
    ours = None
    if stdin:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
    else:
        theirs = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return _Ends([theirs, out_theirs, err_theirs], [(out, "stdout"), (err, "stderr")], ours)


def _terminal() -> _Ends:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    return _Ends([theirs, theirs, theirs], [(os.dup(ours), "stdout")], ours, ours)


@dataclass(slots=True)
class ProgramContainer:
    """A container with a program of its own (a `Started`)."""

    running: Running
    recipe: Recipe
    container: Container
    stands_in: str
    message_file: Path | None = None
    _said: str | None = None

    def state(self) -> ContainerState:
        process = self.running.process
        return ContainerState(
            process.running,
            self.running.pid,
            process.started_ns,
            process.finished_ns,
            process.code,
            "" if process.running else self._message(),
            self.stands_in,
        )

    def signal(self, signum: int) -> None:
        self.running.signal(signum)

    async def ended(self) -> None:
        await self.running.ended()

    def _message(self) -> str:
        if self._said is None:
            self._said = last_words(self.running, self.container, self.message_file)
        return self._said


def last_words(running: Running, container: Container, message_file: Path | None) -> str:
    """The message of a program that has ended. Source: pkg/kubelet/kuberuntime, getTerminationMessage."""
    if message_file is not None and message_file.exists():
        with message_file.open("rb") as file:
            if said := file.read(_MAX_MESSAGE_BYTES):
                return said.decode(errors="replace")
    policy = container.termination_message_policy
    if policy == "FallbackToLogsOnError" and running.process.code:
        running.log.drain()
        return running.log.tail(_FALLBACK_LINES, _FALLBACK_BYTES)
    return ""
