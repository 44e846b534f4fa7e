"""The DNS server of a pod: one thread, UDP and TCP, fed with changes by the supervisor."""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from testbed.clock import now_s
from testbed.dns.framing import MAX_MESSAGE, Unframer, framed
from testbed.dns.names import NameTable
from testbed.dns.reply import Replier
from testbed.model.manifest import what_is_known

IDLE_S = 8.0
"""A TCP connection that has been silent for so long is closed (CoreDNS's idle timeout)."""

_UDP_BURST = 128  # datagrams answered before TCP and the supervisor get a turn
_UDP_BUFFER = 4 << 20  # a burst of queries waits here instead of being lost
_MAX_UNSENT = 1 << 20  # a client that asks but does not read is cut off
_MAX_CONNECTIONS = 512  # then the one that has been silent longest makes room


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes.

    `config`: {"listen": [address, …], "port": number (0: any), "domain": "cluster.local"}. Says
    {"ready": true, "port": number} once it listens. Then a line of `channel` is {"objects":
    [manifest, …], "resource_version": n, "synced": true} or {"changes": [{"type": "ADDED",
    "object": manifest}, …], "resource_version": n}. Raises OSError where the port cannot be had.
    """
    replier = Replier(NameTable(config["domain"]))
    with selectors.DefaultSelector() as selector:
        server = _Server(selector, replier, _listen_everywhere(config["listen"], config["port"]))
        feed = _Feed(replier, channel)
        channel.sendall(json.dumps({"ready": True, "port": server.port}).encode() + b"\n")
        for fd in feed.fds:
            selector.register(fd, selectors.EVENT_READ, feed.read)
        while not feed.ended:
            for key, events in selector.select(server.patience_s()):
                key.data(events)
            server.close_idle()


def _listen_everywhere(
    addresses: Sequence[str], port: int
) -> list[tuple[socket.socket, socket.socket]]:
    """A UDP socket and a TCP listener for each address, all on one port. Raises OSError."""
    pairs: list[tuple[socket.socket, socket.socket]] = []
    for address in addresses:
        pairs.append(_listen(address, port))
        port = pairs[0][0].getsockname()[1]
    return pairs


def _listen(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP listener on one port. Raises OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        tcp = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if family == socket.AF_INET6:
            for sock in (udp, tcp):  # IPv4 has sockets of its own
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            udp.bind((address, port))
            tcp.bind((address, udp.getsockname()[1]))
        except OSError as error:
            udp.close()
            tcp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
            continue  # any port will do, and TCP's of that number was taken: another one
        tcp.listen(1024)
        return udp, tcp


class _Feed:
    """The supervisor's line, and SIGTERM: what keeps the names true and what ends the process."""

    def __init__(self, replier: Replier, channel: socket.socket) -> None:
        self.ended = False
        self._replier = replier
        self._channel = channel
        self._unread = b""
        self._wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGTERM, lambda *_: None)

    @property
    def fds(self) -> tuple[int, int]:
        return self._channel.fileno(), self._wakeup

    def read(self, _events: int) -> None:
        with suppress(BlockingIOError):
            self.ended = self.ended or bool(os.read(self._wakeup, 64))
        try:
            data = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self.ended = self.ended or not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._apply(json.loads(line))

    def _apply(self, message: dict[str, Any]) -> None:
        names = self._replier.names
        for manifest in message.get("objects", ()):
            names.put(what_is_known(manifest))
        for change in message.get("changes", ()):
            names.change(change["type"], what_is_known(change["object"]))
        names.resource_version = message["resource_version"]
        self._replier.synced = self._replier.synced or message.get("synced", False)
        self._replier.changed()


class _Server:
    """The sockets. TCP connections are kept with the time of their last use, oldest first."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        replier: Replier,
        sockets: Sequence[tuple[socket.socket, socket.socket]],
    ) -> None:
        self._selector = selector
        self._replier = replier
        self._connections: dict[_Connection, float] = {}
        self.port: int = sockets[0][0].getsockname()[1]
        for udp, tcp in sockets:
            selector.register(udp, selectors.EVENT_READ, partial(self._datagrams, udp))
            selector.register(tcp, selectors.EVENT_READ, partial(self._accept, tcp))

    def patience_s(self) -> float | None:
        """Seconds until a connection may have to be closed; None: there is none."""
        oldest = next(iter(self._connections.values()), None)
        return None if oldest is None else max(0.0, oldest + IDLE_S - now_s())

    def close_idle(self) -> None:
        if self.patience_s() == 0.0:
            limit_s = now_s() - IDLE_S
            for connection in [c for c, used_s in self._connections.items() if used_s <= limit_s]:
                self._close(connection)

    def _datagrams(self, udp: socket.socket, _events: int) -> None:
        receive, reply, send = udp.recvfrom, self._replier.reply, udp.sendto
        for _ in range(_UDP_BURST):
            try:
                packet, client = receive(MAX_MESSAGE)
            except BlockingIOError:
                return
            answer = reply(packet)
            if answer is not None:
                with suppress(OSError):  # no route back, or no room: the client asks again
                    send(answer, client)

    def _accept(self, tcp: socket.socket, _events: int) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            sock, _ = tcp.accept()
            sock.setblocking(False)
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._close(next(iter(self._connections)))
            connection = _Connection(sock, self._replier)
            self._connections[connection] = now_s()
            self._selector.register(sock, selectors.EVENT_READ, self._serves(connection))

    def _serves(self, connection: _Connection) -> Callable[[int], None]:
        def serve(_events: int) -> None:
            if connection not in self._connections:  # closed earlier in this round of events
                return
            wanted = connection.serve()
            if not wanted:
                self._close(connection)
                return
            del self._connections[connection]
            self._connections[connection] = now_s()
            self._selector.modify(connection.sock, wanted, serve)

        return serve

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection]
        self._selector.unregister(connection.sock)
        connection.sock.close()


class _Connection:
    """One client's TCP stream; it may ask many times without waiting (RFC 7766)."""

    def __init__(self, sock: socket.socket, replier: Replier) -> None:
        self.sock = sock
        self._replier = replier
        self._unframer = Unframer()
        self._unsent = b""

    def serve(self) -> int:
        """Read, answer and write what is possible now; the events to wait for, 0: close it."""
        try:
            data = self._received()
            if data == b"" or len(self._unsent) > _MAX_UNSENT:
                return 0
            for packet in self._unframer.feed(data or b""):
                answer = self._replier.reply(packet, tcp=True)
                if answer is None:
                    return 0
                self._unsent += framed(answer)
            self._send()
        except ConnectionError:
            return 0
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)

    def _received(self) -> bytes | None:
        """None: nothing now. b"": the client has closed."""
        try:
            return self.sock.recv(MAX_MESSAGE)
        except BlockingIOError:
            return None

    def _send(self) -> None:
        with suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
