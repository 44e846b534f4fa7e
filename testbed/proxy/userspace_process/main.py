"""The process itself: obeys the supervisor, holds the listeners."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from testbed.errors import TestbedError
from testbed.proxy import userspace_table
from testbed.proxy.userspace_balancer import Make, Picker
from testbed.proxy.userspace_process.balancers import find_balancer
from testbed.proxy.userspace_process.load import LoadPolls
from testbed.proxy.userspace_process.loop import Loop
from testbed.proxy.userspace_process.pick_counts import PickCounts
from testbed.proxy.userspace_process.pick_log import PickLog
from testbed.proxy.userspace_process.serving import Process, Serving, nowhere
from testbed.proxy.userspace_process.tcp import TcpListener
from testbed.proxy.userspace_process.udp import UdpListener
from testbed.proxy.userspace_table import Listener

KINDS: dict[str, type[TcpListener] | type[UdpListener]] = {"tcp": TcpListener, "udp": UdpListener}


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes. The process sits in its node's namespace.

    `config`: {"balancer": name, "documented": bool, "udp_idle_s": 0.25, "load_path": "/load",
    "load_period_s": 0.1}. Says {"ready": true}; then each line of `channel` {"id": n, "do": "set" | "close"
    | "table" (see `userspace_table`) | "record" (to the file of that name; "": no more) | "count", "text": …}
    is answered by {"id": n, "text": …} or {"id": n, "error": what went wrong}.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = Loop()
    process = Process(loop, config["udp_idle_s"], config["documented"])
    proxy = _Proxy(process, find_balancer(config["balancer"]))
    if proxy.wants_load:
        proxy.polls = LoadPolls(loop, process.loads, config["load_path"], config["load_period_s"])
    _Orders(loop, proxy, channel)
    channel.sendall(b'{"ready":true}\n')
    loop.run()


@dataclass(slots=True)
class _Open:
    """A socket and the listener of the table that it is for."""

    name: str
    sock: TcpListener | UdpListener


class _Proxy:
    """The table in force."""

    def __init__(self, process: Process, make: Make) -> None:
        self.wants_load = bool(getattr(make, "wants_load", False))
        self.polls: LoadPolls | None = None
        self._log: PickLog | None = None
        self._counts: PickCounts | None = None
        self._process = process
        self._make = make
        self._table: dict[str, Listener] = {}
        self._pickers: dict[str, Picker] = {}
        self._open: dict[str, _Open] = {}
        """By socket, as in `tcp 192.0.2.11:13412`. One that changes hands serves its new listener at once."""

    def set(self, text: str) -> str:
        """Listen as told; endpoints of listeners that are there already change in place."""
        for listener in userspace_table.listeners(text):
            picker = self._pickers.get(listener.name)
            if picker is None:
                picker = self._pickers[listener.name] = Picker(self._make(Random()))
            picker.set(listener.endpoints, listener.affinity_s)
            have = self._open.get(listener.socket)
            if have is None:
                sock = KINDS[listener.protocol](Serving(self._process, picker), listener.address)
                self._open[listener.socket] = _Open(listener.name, sock)
            elif have.name != listener.name:
                have.name, have.sock.serving = listener.name, Serving(self._process, picker)
            self._table[listener.name] = listener
        self._poll()
        return ""

    def close(self, text: str) -> str:
        """Close sockets, one a line."""
        for socket_text in text.splitlines():
            one = self._open.pop(socket_text, None)
            if one is None:
                continue
            one.sock.close()
            if self._table.get(one.name, None) and self._table[one.name].socket == socket_text:
                del self._table[one.name], self._pickers[one.name]
        self._poll()
        return ""

    def table(self, _text: str) -> str:
        """What is in force."""
        return userspace_table.saved(self._table[name] for name in sorted(self._table))

    def record(self, path: str) -> str:
        """Note what is picked from now on in a file; "": nowhere any more."""
        if self._log is not None:
            self._log.close()
        self._log = PickLog(path) if path else None
        self._heed()
        return ""

    def count(self, text: str) -> str:
        """How often each endpoint was picked since the first time that this was asked (`userspace_counts`);
        `off`: count no more.
        """
        if text == "off":
            self._counts = None
        elif self._counts is None:
            self._counts = PickCounts()
        self._heed()
        return self._counts.text() if self._counts else ""

    def _heed(self) -> None:
        heard = [one.record for one in (self._log, self._counts) if one is not None]

        def all_of_them(
            protocol: str, client: tuple[str, int], endpoint: str, own: tuple[str, int]
        ) -> None:
            for hear in heard:
                hear(protocol, client, endpoint, own)

        self._process.picked = all_of_them if heard else nowhere

    def _poll(self) -> None:
        if self.polls is not None:
            self.polls.set(
                endpoint
                for listener in self._table.values()
                if listener.protocol == "tcp"
                for endpoint in listener.endpoints
            )


class _Orders:
    """The supervisor's line, and SIGTERM."""

    def __init__(self, loop: Loop, proxy: _Proxy, channel: socket.socket) -> None:
        self._loop = loop
        self._channel = channel
        self._unread = b""
        self._verbs: dict[str, Callable[[str], str]] = {
            "set": proxy.set,
            "close": proxy.close,
            "table": proxy.table,
            "record": proxy.record,
            "count": proxy.count,
        }
        self._wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGTERM, lambda *_: None)
        loop.watch(self._wakeup, self._stop)
        loop.watch(channel.fileno(), self._read)

    def _stop(self, _: int) -> None:
        self._loop.ended = True

    def _read(self, _: int) -> None:
        try:
            data = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._loop.ended = True
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            answer = self._obey(json.loads(line))
            with suppress(BrokenPipeError, ConnectionResetError):
                self._channel.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"id": order["id"], "text": self._verbs[order["do"]](order["text"])}
        except (OSError, TestbedError) as error:
            return {"id": order["id"], "error": str(error)}
