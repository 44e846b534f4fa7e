"""The built-in backend: one epoll loop that says who it is to whoever asks.

By default each pod has its own process; for scale labs one process holds sockets in many pods'
namespaces. It must not be what a measurement waits for: the answer to a request that was seen
before is a dictionary look-up on its bytes.
"""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.kernel import netns
from testbed.traffic.accept_log import UDP, AcceptLog
from testbed.traffic.channel import Channel
from testbed.traffic.echo_protocol import Address, Identity, Reply, command, reply

BACKLOG = 4096
"""What a listener asks for; the kernel caps it at net.core.somaxconn."""
DRAIN_S = 1.0
"""How long a connection that has not sent its request yet may hold up a graceful end."""
_BURST = 64
"""Connections accepted before others get their turn."""
_READ = 16 * 1024
_MAX_READY_MADE = 1024
_PROBES = (b"GET /healthz", b"GET /readyz")
"""A busy pod answers these at once: how long its requests take is not whether it is well."""


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes.

    `config`: `pods`, a list of {pod, uid, namespace, node, ip, port, service_s} (`service_s`: how long
    it works on a request that comes by TCP, one after the other) with `netns`: null where the
    process is in the pod already, else an open file descriptor of the namespace (closed here), or
    its path, and `listen`: the addresses to listen on (["0.0.0.0"]); `log`: path of the accept log
    (all pods of the server in one), or null.

    Lines on `channel`: {"stop": true} is SIGTERM; {"pods": […]} adds pods (the descriptors that
    come with the message stand for every `netns` that is a number, in order), {"remove": [uid, or
    name without one]} removes them. Says {"ready": true} when it listens, {"pods": n} after a
    change. Raises OSError.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = _Server(AcceptLog(Path(config["log"])) if config.get("log") else None)
    for pod in config["pods"]:
        server.add(pod)
    line = Channel(channel)
    _Control(server, line)
    line.say({"ready": True})
    server.serve()


class _Server:
    """The loop: file descriptor -> what to do when it is ready."""

    def __init__(self, log: AcceptLog | None) -> None:
        self.log = log
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.pods: dict[str, list[_Listener | _Datagrams]] = {}
        self.connections: set[_Connection] = set()
        self.due: list[tuple[int, int, Callable[[], None]]] = []
        """(when, a number that tells equal times apart, what then): a heap."""
        self.drain_until_ns: int | None = None
        self._numbered = 0

    def watch(self, fd: int, handler: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call before closing."""
        del self.handlers[fd]
        self.epoll.unregister(fd)

    def add(self, pod: dict[str, Any]) -> None:
        """Listen for a pod, in its namespace: TCP, UDP and, where `sctp` says so, SCTP. Raises OSError."""
        identity = Identity(
            pod["pod"], pod.get("namespace", "default"), pod.get("node", ""), pod.get("ip", "")
        )
        place = pod.get("netns")
        if isinstance(place, str):
            place = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        listen = pod.get("listen", ["0.0.0.0"])
        with nullcontext() if place is None else netns.entered(place):
            pairs = [(address, _unbound(address)) for address in listen]
            streams = [
                (address, _unbound_stream(address, socket.IPPROTO_SCTP))
                for address in (listen if pod.get("sctp") else ())
            ]
        if place is not None:
            os.close(place)
        mine = self.pods.setdefault(pod.get("uid") or pod["pod"], [])
        service_ns = round(pod.get("service_s", 0.0) * 1e9)
        streams += [(address, tcp) for address, (tcp, _) in pairs]
        for address, stream in streams:
            stream.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # a restart meets TIME_WAIT
            stream.bind((address, pod["port"]))
            stream.listen(BACKLOG)
            mine.append(_Listener(self, identity, stream, service_ns))
        for address, (_, udp) in pairs:
            udp.bind((address, pod["port"]))
            mine.append(_Datagrams(self, identity, udp))

    def remove(self, pod: str) -> None:
        """Stop listening for a pod; connections that are open go on. Unknown: no error."""
        for one in self.pods.pop(pod, []):
            one.close()

    def serve(self) -> None:
        """Until everything that was accepted before the end was asked for is answered."""
        while True:
            timeout_s = -1.0
            if self.drain_until_ns is not None:
                timeout_s = max(0.0, (self.drain_until_ns - now_ns()) / 1e9)
                if not self.connections or timeout_s == 0.0:
                    return
            handlers = self.handlers
            if self.due:
                due_s = max(0.0, (self.due[0][0] - now_ns()) / 1e9)
                timeout_s = due_s if timeout_s < 0 else min(timeout_s, due_s)
            for fd, events in self.epoll.poll(timeout_s):
                handler = handlers.get(fd)
                if handler is not None:  # else: closed by an earlier event of this round
                    handler(events)
            while self.due and self.due[0][0] <= now_ns():
                heappop(self.due)[2]()

    def at(self, t_ns: int, action: Callable[[], None]) -> None:
        """Do something then."""
        self._numbered += 1
        heappush(self.due, (t_ns, self._numbered, action))

    def drain(self) -> None:
        """Take no new connections, end idle ones, answer the rest."""
        if self.drain_until_ns is not None:
            return
        self.drain_until_ns = now_ns() + int(DRAIN_S * 1e9)
        for pod in tuple(self.pods):
            self.remove(pod)
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()


def _unbound(address: str) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket of the address's IP family, and of that one alone: each family has its own."""
    udp = _socket(address, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    return _unbound_stream(address, socket.IPPROTO_TCP), udp


def _unbound_stream(address: str, protocol: int) -> socket.socket:
    return _socket(address, socket.SOCK_STREAM, protocol)


def _socket(address: str, kind: int, protocol: int) -> socket.socket:
    if ":" not in address:
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, protocol)
    found = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK, protocol)
    found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return found


class _Control:
    """The supervisor's orders."""

    def __init__(self, server: _Server, line: Channel) -> None:
        self._server = server
        self._line = line
        for fd in line.fds:
            server.watch(fd, self._obey)

    def _obey(self, _: int) -> None:
        watched = set(self._line.fds)
        for message in self._line.receive():
            if message.get("stop"):
                self._server.drain()
            elif "pods" in message or "remove" in message:
                self._change(message)
        for fd in watched.difference(self._line.fds):  # the supervisor has closed its end
            self._server.forget(fd)

    def _change(self, message: dict[str, Any]) -> None:
        for pod in message.get("pods", ()):
            if isinstance(pod.get("netns"), int):
                pod["netns"] = self._line.received_fds.pop(0)
            self._server.add(pod)
        for name in message.get("remove", ()):
            self._server.remove(name)
        self._line.say({"pods": len(self._server.pods)})


class _Listener:
    """A pod's TCP port."""

    def __init__(
        self, server: _Server, identity: Identity, sock: socket.SocketType, service_ns: int
    ) -> None:
        self.server = server
        self.identity = identity
        self.ready_made: dict[bytes, Reply] = {}
        self.open = 0
        """Connections that are being served."""
        self.service_ns = service_ns
        """How long a request takes; 0: no time at all."""
        self._busy_until_ns = 0
        self._sock = sock
        server.watch(sock.fileno(), self.accept)

    def accept(self, _: int, at_most: int = _BURST) -> None:
        """Accept what waits; a request that is there already is answered at once."""
        # The bare file descriptor: a socket object for each connection costs 2 µs.
        accept = self._sock._accept  # type: ignore[attr-defined]
        ready_made, log = self.ready_made, self.server.log
        for _turn in range(at_most):
            try:
                fd, client = accept()
            except OSError:  # none left, or this one was reset while it waited
                return
            if log is not None:
                log.record(now_ns(), client[0], client[1])
            os.set_blocking(fd, False)
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                _Connection(self, fd, client)
                continue
            except OSError:
                os.close(fd)
                continue
            known = ready_made.get(data)
            if known is not None and known.close:
                with suppress(OSError):
                    os.write(fd, known.output)
                os.close(fd)
            else:
                _Connection(self, fd, client).received(data)

    def work(self) -> int:
        """When the request that came now is done: one at a time, in the order in which they came."""
        self._busy_until_ns = max(now_ns(), self._busy_until_ns) + self.service_ns
        return self._busy_until_ns

    def close(self) -> None:
        # Whoever is in the backlog had their handshake: closing now would reset them.
        self.accept(0, BACKLOG)
        self.server.forget(self._sock.fileno())
        self._sock.close()


class _Connection:
    """An accepted connection that was not answered in one go."""

    __slots__ = (
        "_buffer", "_client", "_closed", "_closing", "_fd", "_listener", "_output", "_served", "_working",
    )  # fmt: skip

    def __init__(self, listener: _Listener, fd: int, client: Address) -> None:
        self._listener = listener
        self._fd = fd
        self._client = client
        self._buffer = b""
        self._output = b""
        self._closed = False
        self._closing = False
        self._served = False
        self._working = False
        listener.server.connections.add(self)
        listener.open += 1
        listener.server.watch(fd, self.handle)

    @property
    def idle(self) -> bool:
        """Answered before, and nothing begun since."""
        return self._served and not (self._buffer or self._output or self._working)

    def handle(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._write(b"")
            return
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.received(data)
        else:
            self.close()

    def received(self, data: bytes) -> None:
        """Answer every whole request that the buffer holds, in order (pipelining)."""
        listener = self._listener
        buffer = self._buffer + data if self._buffer else data
        if listener.service_ns and not buffer.startswith(_PROBES):
            self._work(buffer)
            return
        output = b""
        while buffer and not self._closing:
            answer = listener.ready_made.get(buffer)
            if answer is None:
                load = listener.open - 1  # besides whoever asks
                answer = reply(listener.identity, self._client, buffer, load)
                if not answer.consumed:
                    break
                whole = answer.same_for_all and answer.consumed == len(buffer)
                if whole and len(listener.ready_made) < _MAX_READY_MADE:
                    listener.ready_made[buffer] = answer
            output += answer.output
            buffer = buffer[answer.consumed :]
            self._served = True
            draining = listener.server.drain_until_ns is not None
            self._closing = answer.close or (draining and not buffer)
        self._buffer = buffer
        self._write(output)

    def _work(self, buffer: bytes) -> None:
        """Answer the first request of the buffer when its time has been spent, and read no more before."""
        listener = self._listener
        answer = reply(listener.identity, self._client, buffer, listener.open - 1)
        self._buffer = buffer[answer.consumed :]
        if answer.consumed:
            self._served = self._working = True
            listener.server.epoll.modify(self._fd, 0)
            listener.server.at(listener.work(), partial(self._finish, answer))

    def _finish(self, answer: Reply) -> None:
        if self._closed:  # the client gave up
            return
        self._working = False
        server = self._listener.server
        self._closing = answer.close or (server.drain_until_ns is not None and not self._buffer)
        server.epoll.modify(self._fd, select.EPOLLIN)
        self._write(answer.output)
        if self._buffer and not self._closed:
            self._work(self._buffer)

    def _write(self, output: bytes) -> None:
        pending = self._output + output
        try:
            sent = os.write(self._fd, pending) if pending else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        waited, self._output = bool(self._output), pending[sent:]
        if bool(self._output) != waited:
            # No reading while the client does not take its answers.
            wanted = select.EPOLLOUT if self._output else select.EPOLLIN
            self._listener.server.epoll.modify(self._fd, wanted)
        if self._closing and not self._output:
            self.close()

    def close(self) -> None:
        self._closed = True
        server = self._listener.server
        server.connections.discard(self)
        self._listener.open -= 1
        server.forget(self._fd)
        os.close(self._fd)


class _Datagrams:
    """A pod's UDP port."""

    def __init__(self, server: _Server, identity: Identity, sock: socket.socket) -> None:
        self._server = server
        self._identity = identity
        self._sock = sock
        server.watch(sock.fileno(), self._receive)

    def _receive(self, _: int) -> None:
        log = self._server.log
        for _turn in range(_BURST):
            try:
                line, client = self._sock.recvfrom(65536)
            except OSError:  # none left, or an ICMP error of an earlier answer
                return
            if log is not None:
                log.record(now_ns(), client[0], client[1], UDP)
            with suppress(OSError):
                self._sock.sendto(command(self._identity, client, line), client)

    def close(self) -> None:
        self._server.forget(self._sock.fileno())
        self._sock.close()
