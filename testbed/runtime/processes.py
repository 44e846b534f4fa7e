"""The supervisor's side of the zygote: processes of the lab as awaitable values."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.runtime.zygote import MAX_MESSAGE

_encode = json.JSONEncoder(separators=(",", ":")).encode
_IN_FLIGHT = 64
"""Requests the zygote has not answered yet: more could fill both sockets and block both ends."""


class Channel:
    """Lines of JSON to and from one lab process."""

    def __init__(self, sock: socket.socket, on_message: Callable[[dict[str, Any]], None]) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._on_message = on_message
        self._received = b""
        self._unsent = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; it is sent as the other side reads."""
        if self._socket.fileno() < 0:
            return
        if not self._unsent:
            self._loop.add_writer(self._socket, self._writable)
        self._unsent += _encode(message).encode() + b"\n"
        self._writable()

    def close(self) -> None:
        """Close: for the process this means: end. Idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def finish(self) -> None:
        """Take what the process said before it ended, and close."""
        while self._socket.fileno() >= 0 and self._readable():
            pass
        self.close()

    def _readable(self) -> bool:
        """Take what is there; returns whether there may be more."""
        try:
            data = self._socket.recv(262_144)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._on_message(json.loads(line))
        return True

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent) if self._unsent else 0
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._socket)


@dataclass(slots=True)
class LabProcess:
    """A process that the zygote forked. `code` is as a shell says it (137 after SIGKILL)."""

    pid: int
    started_ns: int
    channel: Channel | None = None
    ready: asyncio.Future[dict[str, Any]] | None = None
    code: int | None = None
    finished_ns: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        return self.code is None

    def signal(self, signum: int) -> None:
        """Send a signal; nothing happens when it has ended (its pid is not reused before that is known)."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):  # the word of its end is on its way
                os.kill(self.pid, signum)

    async def end(self, grace_s: float = 0.0) -> int:
        """SIGTERM and, after the grace period, SIGKILL; returns the exit code."""
        if self.running and grace_s > 0:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), grace_s)
        self.signal(signal.SIGKILL)
        await self.ended.wait()
        assert self.code is not None
        return self.code


async def next_message(
    heard: asyncio.Queue[dict[str, Any]], process: LabProcess, timeout_s: float, who: str
) -> dict[str, Any]:
    """What a process says next. Raises OutOfTimeOrRoom, TestbedError where it has ended without a word."""
    hearing = asyncio.create_task(heard.get())
    ending = asyncio.create_task(process.ended.wait())
    tasks = {hearing, ending}
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            return hearing.result()
    finally:
        for task in tasks:
            task.cancel()
    if process.running:
        raise OutOfTimeOrRoom(f"{who} said nothing for {timeout_s:g} s")
    raise TestbedError(f"{who} ended with code {process.code}")


class Processes:
    """Starts lab processes through the zygote and knows when they end."""

    def __init__(self, zygote: socket.socket, outside: socket.socket | None = None) -> None:
        """`outside`: to the process that sits beside the lab's world, in labs with containers."""
        self.outside = outside
        self._zygote = zygote
        self._zygote.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(zygote, self._reports)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._alive: dict[int, LabProcess] = {}
        self._ended_early: dict[int, dict[str, Any]] = {}
        self._last_id = 0
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._sending = asyncio.Lock()

    async def spawn(
        self,
        main: str,
        config: dict[str, Any],
        netns: str = "",
        on_message: Callable[[dict[str, Any]], None] = lambda message: None,
    ) -> LabProcess:
        """Fork a lab process in a namespace (a path) and wait until it says `ready` (or has ended).

        Raises TestbedError where no process could be made.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                answer = await self._ask(main, config, netns, [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()

        def receive(message: dict[str, Any]) -> None:
            if not ready.done() and message.get("ready"):
                ready.set_result(message)
            else:
                on_message(message)

        process = LabProcess(answer["pid"], answer["t_ns"], Channel(ours, receive), ready)
        self._track(process)
        await ready
        return process

    async def execute(
        self, config: dict[str, Any], netns: str, fds: list[int], main: str = "exec"
    ) -> LabProcess:
        """Start a user's command, or what a `container` runs, with `fds` as its standard input, output and
        error.
        """
        answer = await self._ask(main, config, netns, fds)
        process = LabProcess(answer["pid"], answer["t_ns"])
        self._track(process)
        return process

    async def _ask(
        self, main: str, config: dict[str, Any], netns: str, fds: list[int]
    ) -> dict[str, Any]:
        async with self._slots:
            self._last_id += 1
            ident = self._last_id
            request = {"id": ident, "main": main, "config": config, "netns": netns}
            data = _encode(request).encode()
            if len(data) > MAX_MESSAGE:
                raise TestbedError(f"{main}: a request of {len(data)} bytes is too long")
            future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
            self._asked[ident] = future
            await self._send(data, fds)
            answer = await future
        if "error" in answer:
            raise TestbedError(answer["error"])
        return answer

    async def _send(self, data: bytes, fds: list[int]) -> None:
        """Requests may be large, and the zygote slow to read them."""
        async with self._sending:
            while True:
                try:
                    socket.send_fds(self._zygote, [data], fds)
                    return
                except BlockingIOError:
                    room = asyncio.Event()
                    self._loop.add_writer(self._zygote, room.set)
                    try:
                        await room.wait()
                    finally:
                        self._loop.remove_writer(self._zygote)

    def _track(self, process: LabProcess) -> None:
        early = self._ended_early.pop(process.pid, None)
        self._alive[process.pid] = process
        if early is not None:
            self._ended(early)

    def _reports(self) -> None:
        while True:
            try:
                data = self._zygote.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            if not data:  # the zygote is gone, and with it the lab
                raise SystemExit("the zygote ended")
            report = json.loads(data)
            if "exited" in report:
                if report["exited"] in self._alive:
                    self._ended(report)
                else:
                    self._ended_early[report["exited"]] = report
            else:
                self._asked.pop(report["id"]).set_result(report)

    def _ended(self, report: dict[str, Any]) -> None:
        process = self._alive.pop(report["exited"])
        process.code = report["code"]
        process.finished_ns = report["t_ns"]
        # Its last words first: who waits for the end wants to have heard them.
        if process.channel is not None:
            process.channel.finish()
        process.ended.set()
        if process.ready is not None and not process.ready.done():
            process.ready.set_result({})
