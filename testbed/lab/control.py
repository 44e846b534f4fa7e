"""The supervisor's side of the control socket."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import OutOfTimeOrRoom, TestbedError, UsageError
from testbed.lab.wire import encode, error_message

_CHUNK = 1 << 16
_MAX_FDS = 8


@dataclass(slots=True)
class Call:
    """One request: its parameters, its file descriptors (closed after the call), and who asked."""

    params: dict[str, Any]
    fds: list[int]
    client: Client
    ident: int

    def progress(self, value: Any) -> None:
        """Tell the caller how far it is."""
        self.client.send({"id": self.ident, "progress": value})


Method = Callable[[Call], Awaitable[Any]]


@dataclass(slots=True)
class Client:
    """A connection. What it started ends when it goes away, unless it was meant to stay."""

    sock: socket.socket
    methods: dict[str, Method]
    received: bytes = b""
    fds: list[int] = field(default_factory=list)
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    unsent: bytes = b""
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        self.sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self.sock, self._readable)

    def send(self, message: dict[str, Any]) -> None:
        if self.gone.is_set():
            return
        self.unsent += encode(message)
        self._writable()
        if self.unsent and not self.gone.is_set():
            asyncio.get_running_loop().add_writer(self.sock, self._writable)

    def _writable(self) -> None:
        try:
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        asyncio.get_running_loop().remove_writer(self.sock)

    def _readable(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, _CHUNK, _MAX_FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self.fds += fds
        if not data:
            self._close()
            return
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            self._begin(json.loads(line))

    def _begin(self, request: dict[str, Any]) -> None:
        ident = int(request["id"])
        call = Call(request["params"], self.fds, self, ident)
        self.fds = []
        if request["method"] == "cancel":
            task = self.tasks.get(int(request["params"]["id"]))
            if task is not None:
                task.cancel()
            return
        self.tasks[ident] = asyncio.create_task(self._carry_out(request["method"], call))

    async def _carry_out(self, name: str, call: Call) -> None:
        answer: dict[str, Any] = {}
        try:
            method = self.methods.get(name)
            if method is None:
                raise UsageError(f"the lab knows no {name!r}", "is it of another version?")
            answer = {"result": await method(call)}
        except TestbedError as error:
            answer = {"error": error_message(error)}
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            full = OutOfTimeOrRoom(
                "no room left for the lab's files", "make some in XDG_RUNTIME_DIR, for root /run"
            )
            answer = {"error": error_message(full)}
        finally:
            if not answer:  # our bug, or cancelled: whoever asked must not wait for ever
                bug = TestbedError(f"the lab failed at {name!r}: {sys.exception()!r}")
                answer = {"error": error_message(bug)}
            self.send({"id": call.ident, **answer})
            for fd in call.fds:
                os.close(fd)
            self.tasks.pop(call.ident, None)

    def _close(self) -> None:
        """The client is gone: cancel what it waits for."""
        if self.gone.is_set():
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.sock)
        loop.remove_writer(self.sock)
        self.sock.close()
        self.gone.set()
        for task in tuple(self.tasks.values()):
            task.cancel()


def serve(listener: socket.socket, methods: dict[str, Method]) -> None:
    """Accept clients on the running event loop, until it ends."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)

    def accept() -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        Client(sock, methods).start()

    loop.add_reader(listener, accept)
