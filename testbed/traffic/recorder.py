"""Records what every node's kernel decides: one ctnetlink listener per node, all in one process.

A node without conntrack hooks (no rule needs them yet) has no entries; its listener is there before
the first.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.errors import OutOfTimeOrRoom
from testbed.kernel import netns, sysctl
from testbed.traffic import conntrack, ctnetlink
from testbed.traffic.channel import TERMINATED, Channel

# linux/netlink.h, linux/socket.h; Python's socket module lacks them.
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 64 << 20  # bytes; ordinary users get net.core.rmem_max
_EVENT_BYTES = 8192  # an event takes some 200
_BURST = 256  # events of a node before the next node gets a turn
_EVENTS_ON = [("netfilter/nf_conntrack_events", "1")]


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Record until SIGTERM or until `channel` closes.

    `config`: {"nodes": {"n1": a path or an open descriptor of its network namespace}, "output":
    path, "destroy": true to record the ends of connections too}. Says {"ready": true} once it
    listens everywhere. Answers {"flush": id} with {"flushed": id, "records": n, "lost": m} when all
    that has happened is in the file (`lost`: how often a listener's buffer overflowed; 0: nothing
    is missing), and {"counters": id} with {"counters": id, "nodes": {"n1": {"insert_failed": n,
    …}}}.

    Raises OSError where a namespace cannot be entered, OutOfTimeOrRoom where the file cannot be
    written.
    """
    control = Channel(channel)
    groups = [ctnetlink.GROUP_NEW]
    groups += [ctnetlink.GROUP_DESTROY] if config.get("destroy") else []
    nodes = config["nodes"]
    listeners = [Listener(place, node, groups) for place, node in enumerate(nodes.values())]
    with _Output(config["output"], tuple(nodes)) as output, selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener.events, selectors.EVENT_READ, listener)
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        recorder = _Recorder(dict(zip(nodes, listeners, strict=True)), output, control)
        control.say({"ready": True})
        while not recorder.ended:
            ready = selector.select()
            for key, _ in ready:
                if key.data is not None:
                    output.write(key.data.take())
            if any(key.data is None for key, _ in ready):
                recorder.obey()
        recorder.drain()


class _Recorder:
    """Obeys the supervisor."""

    def __init__(
        self, listeners: Mapping[str, Listener], output: _Output, control: Channel
    ) -> None:
        self.ended = False
        self._listeners = listeners
        self._output = output
        self._control = control

    def obey(self) -> None:
        for message in self._control.receive():
            if "flush" in message:
                self.drain()
                answer = {"flushed": message["flush"], "records": self._output.records}
                self._control.say(answer | {"lost": self._lost()})
            elif "counters" in message:
                found = {node: listener.counters() for node, listener in self._listeners.items()}
                self._control.say({"counters": message["counters"], "nodes": found})
            elif message == TERMINATED:
                self.ended = True

    def drain(self) -> None:
        """Record all that has happened by now: an event is in its socket before the packet goes on."""
        for listener in self._listeners.values():
            while rows := listener.take():
                self._output.write(rows)

    def _lost(self) -> int:
        return sum(listener.overflows for listener in self._listeners.values())


class Listener:
    """One node's conntrack events, and its counters. `node`: see `main`; `place` stands for it in records."""

    def __init__(self, place: int, node: str | int, groups: list[int]) -> None:
        self.overflows = 0
        self._place = place
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC) if isinstance(node, str) else node
        try:
            with netns.entered(fd):
                # A kernel with the default, 2, turns events on for the first listener by itself.
                sysctl.write(_EVENTS_ON)
                self.events = _netfilter_socket()
                self._asking = _netfilter_socket()
        finally:
            if isinstance(node, str):
                os.close(fd)
        _widen(self.events)
        self.events.setblocking(False)
        for group in groups:
            self.events.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def take(self) -> list[bytes]:
        """Records of what has come, at most a burst of it."""
        receive, rows, place = self.events.recv, [], self._place
        for _ in range(_BURST):
            try:
                data = receive(_EVENT_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overflows += 1  # what came before the overflow is still there
                continue
            t_ns = now_ns()
            for kind, payload in ctnetlink.messages(data):
                entry = ctnetlink.fields(payload) if kind in conntrack.EVENTS else None
                if entry is not None:
                    rows.append(conntrack.record(t_ns, place, kind, entry))
        return rows

    def counters(self) -> dict[str, int]:
        """Sum over all CPUs since the namespace began. Raises OSError."""
        total = dict.fromkeys(ctnetlink.COUNTERS, 0)
        self._asking.send(ctnetlink.stats_request())
        while True:
            for kind, payload in ctnetlink.messages(self._asking.recv(1 << 16)):
                if kind == ctnetlink.NLMSG_DONE:
                    return total
                if kind == ctnetlink.NLMSG_ERROR:
                    raise OSError("the kernel refuses to tell its conntrack counters")
                for name, value in ctnetlink.counters(payload).items():
                    total[name] += value


class _Output:
    """The file; every batch is in the kernel's hands before the next is taken."""

    def __init__(self, path: str, nodes: tuple[str, ...]) -> None:
        self.records = 0
        self._path = path
        try:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise OutOfTimeOrRoom(f"cannot write {path}: {error.strerror}") from error
        self._append(conntrack.header(nodes))

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: list[bytes]) -> None:
        """Append records. Raises OutOfTimeOrRoom."""
        if rows:
            self._append(b"".join(rows))
            self.records += len(rows)

    def _append(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise OutOfTimeOrRoom(f"cannot write {self._path}: {error.strerror}") from error


def _netfilter_socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    sock.bind((0, 0))
    return sock


def _widen(sock: socket.socket) -> None:
    """Room for bursts: all of it for root, what net.core.rmem_max allows in a user namespace."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    with suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
