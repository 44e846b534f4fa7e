"""A real HAProxy in a namespace: started, told what changes while it serves, loaded anew without a lost
connection.

It runs in master-worker mode: the master, which stays, is the lab's process; loaded anew, it starts another
worker that takes over the listening sockets, while the old one finishes what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.edge.haproxy_change import Said, change
from testbed.edge.haproxy_text import ADMIN, CONFIG, MASTER, Configuration, files
from testbed.errors import MissingFeature, OutOfTimeOrRoom, TestbedError
from testbed.kernel.search_path import tool_path
from testbed.lab.container_log import ContainerLog
from testbed.lab.pipe_lines import Lines
from testbed.lab.registry import MARKER
from testbed.runtime.processes import LabProcess, Processes

_PATIENCE_S = 60.0
"""For it to load a configuration, on a machine that does much else."""
_AGAIN_S = 0.02
_LAST_LINES = 8
_LOADED, _NOT_LOADED = "Loading success.", "Loading failure!"


@dataclass(frozen=True, slots=True)
class Applied:
    """What it took to be as wanted. `why`: for what it was loaded anew; "": it was not."""

    start_ns: int
    end_ns: int
    commands: int
    why: str = ""


class Haproxy:
    """`netns` is the path of its namespace, `folder` its own, `hear` is told every line that it prints."""

    def __init__(
        self,
        name: str,
        netns: str,
        folder: Path,
        processes: Processes,
        hear: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._name = name
        self._netns = netns
        self._folder = folder
        self._processes = processes
        self._hear = hear
        self._have: Configuration | None = None
        self._process: LabProcess | None = None
        self._one_by_one = asyncio.Lock()
        self._loaded: asyncio.Future[bool] | None = None
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self.log = ContainerLog()
        """What it prints, from its start on."""

    @property
    def process(self) -> LabProcess:
        """The master's. Only of one that was started."""
        assert self._process is not None
        return self._process

    async def start(self, want: Configuration) -> None:
        """Returns when it listens. Raises MissingFeature, OutOfTimeOrRoom, TestbedError with its own words."""
        path = tool_path()
        if shutil.which("haproxy", path=path) is None:
            raise MissingFeature("there is no haproxy on this machine", "install package haproxy")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(want)
        self._loaded = asyncio.get_running_loop().create_future()
        self._process = await self._executed(path)
        try:
            await self._is_loaded()
        except TestbedError:
            await self._process.end()
            raise
        self._have = want

    async def apply(self, want: Configuration) -> Applied:
        """Make it so. Raises what `start` does; then it goes on with what it had."""
        async with self._one_by_one:
            assert self._have is not None
            start_ns = now_ns()
            found = change(self._have, want)
            why = found.why
            if not why:
                why = await self._told(found.commands)
            # Also where it was told all: what it is started with next is what it has.
            if why or found.commands:
                self._write(want)
            if why:
                await self._reload()
            self._have = want
            return Applied(start_ns, now_ns(), 0 if why else len(found.commands), why)

    async def ask(self, command: str, payload: str = "") -> str:
        """What its runtime API answers. Raises TestbedError where it answers nothing."""
        return await self._asked(
            ADMIN, f"{command} <<\n{payload.strip()}\n" if payload else command
        )

    async def _asked(self, name: str, text: str) -> str:
        folder = os.open(self._folder, os.O_PATH)
        try:  # the socket's own path may be longer than a socket's path can be
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{name}")
        except OSError as error:
            raise TestbedError(f"haproxy of {self._name}: {error.strerror}") from error
        finally:
            os.close(folder)
        try:
            writer.write(f"{text}\n".encode())
            writer.write_eof()
            answer = await reader.read()
        except OSError as error:
            raise TestbedError(f"haproxy of {self._name}: {error.strerror}") from error
        finally:
            writer.close()
        return answer.decode(errors="replace")

    def signal(self, signum: int) -> None:
        """SIGTERM ends it at once, SIGUSR1 when its last connection does."""
        self.process.signal(signum)

    async def end(self) -> None:
        """It is no more, its workers neither."""
        if self._process is not None:
            await self._process.end()

    async def _told(self, commands: tuple[Said, ...]) -> str:
        """ "" where it took all of them, else what it said to one."""
        for said in commands:
            try:
                answer = await self.ask(said.command, said.payload)
            except TestbedError as error:
                return str(error)
            if not re.fullmatch(said.expect, answer):
                return f"`{said.command}`: {' '.join(answer.split()) or 'no answer'}"
        return ""

    async def _reload(self) -> None:
        """By its master's socket: one that is still being loaded would not hear a signal."""
        self._loaded = asyncio.get_running_loop().create_future()
        deadline_ns = now_ns() + int(_PATIENCE_S * 1e9)
        while self.process.running and now_ns() < deadline_ns:
            with contextlib.suppress(TestbedError):
                if "worker" in await self._asked(MASTER, "show proc;reload"):
                    break
            await asyncio.sleep(_AGAIN_S)
        await self._is_loaded()

    async def _is_loaded(self) -> None:
        assert self._loaded is not None
        assert self._process is not None
        over: asyncio.Future[Any] = asyncio.ensure_future(self._process.ended.wait())
        loaded: asyncio.Future[Any] = self._loaded
        await asyncio.wait((loaded, over), timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        said = " | ".join(self._last)
        if not self._loaded.done():
            if self._process.running:
                raise OutOfTimeOrRoom(f"haproxy of {self._name} has not loaded: {said}")
            raise TestbedError(f"haproxy of {self._name} ended: {said}")
        if not self._loaded.result():
            raise TestbedError(f"haproxy of {self._name} does not take its configuration: {said}")

    def _write(self, want: Configuration) -> None:
        """Its files; those that nothing names any more go."""
        wanted = files(want)
        for name, text in wanted.items():
            path = self._folder / name
            if path.is_file() and path.read_text() == text:
                continue
            fresh = self._folder / f".{name}"
            fresh.touch(mode=0o600)
            fresh.write_text(text)
            fresh.rename(path)
        for path in self._folder.iterdir():
            if path.is_file() and path.name not in wanted:
                path.unlink()

    async def _executed(self, path: str) -> LabProcess:
        folder = str(self._folder)
        config = {
            "argv": ["haproxy", "-W", "-S", f"unix@{MASTER}", "-C", folder, "-f", CONFIG],
            "env": {
                **{key: os.environ[key] for key in (MARKER,) if key in os.environ},
                "PATH": path,
                "TZ": "UTC",
                "LC_ALL": "C",
            },
            "hostname": self._name,
            "resolv_conf": "",
            "hosts": "",
            "tty": False,
        }
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        lines, self.log = Lines(self._read), ContainerLog()
        self.log.listeners.append(lambda _stream, data: lines.feed(data))
        self.log.read_from(ours, "stderr")
        try:
            with Path(os.devnull).open("rb") as nothing:
                fds = [nothing.fileno(), theirs, theirs]
                return await self._processes.execute(config, self._netns, fds)
        finally:
            os.close(theirs)

    def _read(self, line: str) -> None:
        self._hear(line)
        self._last.append(line)
        if self._loaded is not None and not self._loaded.done():
            if line.endswith(_LOADED):
                self._loaded.set_result(True)
            elif _NOT_LOADED in line:
                self._loaded.set_result(False)
