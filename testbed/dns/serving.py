"""A DNS server without its names: sockets on some addresses, and a chain that answers."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Iterable, Sequence

from testbed.dns.backlog import Backlog
from testbed.dns.loop import SelectorLoop
from testbed.dns.query import Query, Respond, Serve
from testbed.dns.ready import Ready
from testbed.dns.reply import Asked, Queue, Replier, Send
from testbed.dns.streams import Streams
from testbed.dns.udp import UdpSocket

_TCP_QUEUE = 1024  # connections that wait to be accepted

Work = tuple[Replier, Asked, Send]


class Serving:
    """Listens, on one port, until it is closed."""

    def __init__(
        self, loop: SelectorLoop, serve: Serve, addresses: Sequence[str], port: int = 0
    ) -> None:
        """`port` 0: any. Raises OSError where it cannot be had."""
        self._loop = loop
        self._serve = serve
        self._backlog: Backlog[Work] = Backlog()
        self._readies: list[Ready] = []
        self._sockets: list[socket.socket] = []
        self.port = port
        for address in addresses:
            self._listen(*bound(address, self.port))

    def turn(self) -> None:
        """Wait for queries or whatever else the loop watches, and answer them.

        One is worked out: then the sockets have their turn again, whose answers may be ready-made.
        """
        self._loop.turn(wait=not self._backlog)
        if self._backlog:
            replier, asked, send = self._backlog.take()
            replier.answer(asked, send)

    def serve_by(self, serve: Serve) -> None:
        """From now on another chain answers."""
        self._serve = serve
        for ready in self._readies:
            ready.clear()

    def forget(self, names: Iterable[str]) -> None:
        """Answers that rest on these names are made anew: they have changed."""
        names = tuple(names)
        for ready in self._readies:
            ready.forget(names)

    def tell(self) -> None:
        """Say how often ready-made answers went out, to those who count (`Reply.counted`)."""
        for ready in self._readies:
            ready.tell()

    def close(self) -> None:
        """Listen no more."""
        for sock in self._sockets:
            self._loop.unwatch(sock.fileno())
            sock.close()
        self._sockets.clear()

    def _listen(self, udp: socket.socket, tcp: socket.socket) -> None:
        tcp.listen(_TCP_QUEUE)
        datagrams = UdpSocket(udp, *self._shelf(), self._backlog.has_room)
        streams = Streams(tcp, *self._shelf(), self._loop)
        for sock, ready in ((udp, datagrams.serve), (tcp, streams.accept)):
            self._loop.watch(sock.fileno(), ready, selectors.EVENT_READ)
            self._sockets.append(sock)
        self.port = udp.getsockname()[1]

    def _shelf(self) -> tuple[Ready, Queue]:
        """Ready-made answers of a socket's own (UDP's are cut shorter), and the way to those that are not."""
        ready = Ready()
        self._readies.append(ready)
        replier = Replier(self._by_chain, ready, self._loop.failed)

        def queue(asked: Asked, send: Send) -> None:
            lost = self._backlog.put(asked.client, (replier, asked, send))
            if lost is not None:
                lost[2](None)

        return ready, queue

    def _by_chain(self, query: Query, respond: Respond) -> None:
        self._serve(query, respond)


def bound(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port. Raises OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        tcp = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if family == socket.AF_INET6:
            for sock in (udp, tcp):  # IPv4 has sockets of its own
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
        return udp, tcp
