"""A client's connection, from the name's resolution to the close, driven by the generator's loop.

A request is sent as soon as `connect` returns: on a veth the handshake is over by then, in the
caller's own softirq, and waiting to be told so would cost a turn of the loop.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Protocol

from testbed.clock import now_ns
from testbed.ip import family_of, host_port
from testbed.traffic.exchange import Answer
from testbed.traffic.resolving import Resolving, socket_family
from testbed.traffic.samples import OUTCOME_NUMBERS

if TYPE_CHECKING:
    from testbed.traffic.generator import Load

_CLOSED = OUTCOME_NUMBERS["closed"]
_TIMEOUT = OUTCOME_NUMBERS["timeout"]
_DNS_ERROR = OUTCOME_NUMBERS["dns_error"]
_CLIENT_ERROR = OUTCOME_NUMBERS["client_error"]
_OUTCOME_OF_ERRNO = {
    errno.ECONNREFUSED: OUTCOME_NUMBERS["refused"],
    errno.ECONNRESET: OUTCOME_NUMBERS["reset"],
    errno.EPIPE: OUTCOME_NUMBERS["reset"],
    errno.ETIMEDOUT: OUTCOME_NUMBERS["timeout"],
    errno.EHOSTUNREACH: OUTCOME_NUMBERS["unreachable"],
    errno.ENETUNREACH: OUTCOME_NUMBERS["unreachable"],
    errno.EHOSTDOWN: OUTCOME_NUMBERS["unreachable"],
}
"""All others (no ports, no descriptors, no memory, not permitted) are the client's own trouble."""

_READ = 64 * 1024
_MAX_KNOWN = 4096
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; Python 3.11 has no name for it
_LINGER_RESET = struct.pack("ii", 1, 0)
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_CONNECTING = _READABLE | select.EPOLLOUT
_ENDING = select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP


class Expiring(Protocol):
    """Who waits for something until `deadline_ns`, and no longer."""

    deadline_ns: int

    def expire(self) -> None: ...


class Connection:
    """Starts its first request when made. `deadline_ns` is its request's; 0: it is idle, or over.

    The sockets are `socket.SocketType`, `socket.socket` without its Python half (1 µs for each).
    """

    __slots__ = (
        "_buffer",
        "_connected_ns",
        "_connecting",
        "_fd",
        "_first_ns",
        "_left",
        "_load",
        "_resolved_ns",
        "_resolving",
        "_scheduled_ns",
        "_serial",
        "_sock",
        "_source",
        "_source_port",
        "_start_ns",
        "_target",
        "deadline_ns",
    )

    def __init__(self, load: Load, serial: int, scheduled_ns: int) -> None:
        self._load = load
        self._serial = serial
        self._sock: socket.SocketType | None = None
        self._left = load.spec.reuse
        self._source = self._source_port = self._target = 0
        self._connecting = False
        self._resolving: Resolving | None = None
        self._begin(scheduled_ns)
        if load.address is not None and self._start_ns < load.address_until_ns:
            self._connect(load.address)
        else:
            self._resolving = Resolving(load, self._resolved, partial(self.end, _CLIENT_ERROR))
            self._resolving.begin()

    def _begin(self, scheduled_ns: int) -> None:
        load = self._load
        self._scheduled_ns = scheduled_ns
        self._start_ns = now = now_ns()
        self._resolved_ns = self._connected_ns = self._first_ns = 0
        self._buffer = b""
        self._left -= 1
        self.deadline_ns = deadline = now + load.timeout_ns
        load.deadlines.append((deadline, self))
        load.in_flight.add(self)

    def _resolved(self, address: str | None) -> None:
        """The name's address, or None: it has none."""
        self._resolving = None
        if address is None:
            self.end(_DNS_ERROR)
            return
        self._resolved_ns = now_ns()
        self._connect(address)

    def _connect(self, address: str) -> None:
        load = self._load
        self._target = load.samples.name(host_port(address, load.port))
        try:
            self._sock = sock = socket.SocketType(
                socket_family(address), _DATAGRAM if load.datagrams else _STREAM
            )
            self._fd = fd = sock.fileno()
            if load.sources[family_of(address)]:
                self._bind(sock, address)
            if load.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            trouble = sock.connect_ex((address, load.port))
            if trouble not in (0, errno.EINPROGRESS):
                self._fail(trouble)
                return
            name, self._source_port, *_ = sock.getsockname()
            self._source = load.samples.name(name)
            load.handlers[fd] = self.handle
            connected_ns = now_ns()
            try:
                sock.send(load.exchange.request if self._left else load.exchange.last)
                self._connected_ns = connected_ns
            except BlockingIOError:
                self._connecting = True
            load.epoll.register(fd, _CONNECTING if self._connecting else _READABLE)
        except OSError as error:
            self._left = 0  # nobody would hear its answers
            self._fail(error.errno)

    def _bind(self, sock: socket.SocketType, address: str) -> None:
        """Take the next source address of the IP family of `address`; its port is chosen by connect, from
        the whole range.
        """
        addresses = self._load.sources[family_of(address)]
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((addresses[self._serial % len(addresses)], 0))

    def send_again(self, scheduled_ns: int) -> None:
        """Another request on a kept connection."""
        if self._load.datagrams:
            self._discard()
        self._begin(scheduled_ns)
        self._send()

    def _send(self) -> None:
        exchange = self._load.exchange
        try:
            self._sock.send(exchange.request if self._left else exchange.last)  # type: ignore[union-attr]
        except OSError as error:
            self._fail(error.errno)

    def handle(self, events: int) -> None:
        """What epoll saw: an answer, the handshake's end, or the peer's end."""
        if self._connecting:
            self._handshake_over(events)
        elif self.deadline_ns:
            self._receive(bool(events & _ENDING))
        elif self._load.datagrams:
            self._discard()
        else:  # idle: there is nothing to hear but the end
            self._load.idle.remove(self)
            self._close()

    def _handshake_over(self, events: int) -> None:
        trouble = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]
        if trouble:
            self._fail(trouble)
        elif events & select.EPOLLOUT:
            self._connecting = False
            self._connected_ns = now_ns()
            self._send()

    def _receive(self, ending: bool) -> None:
        load, sock = self._load, self._sock
        while True:
            try:
                data = sock.recv(_READ)  # type: ignore[union-attr]
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error.errno)
                return
            now = now_ns()
            if not self._first_ns and data:
                self._first_ns = now
            self._buffer = buffer = self._buffer + data if self._buffer else data
            # The same bytes mean the same: an answer that was seen before is not parsed again.
            answer = load.known.get(buffer)
            if answer is None:
                answer = load.exchange.parse(buffer, eof=not data)
                if answer is not None and data and len(load.known) < _MAX_KNOWN:
                    load.known[buffer] = answer
            if answer is not None:
                self._answered(now, answer, ending)
                return
            if not data:
                self.end(_CLOSED)
                return

    def _answered(self, now: int, answer: Answer, ending: bool) -> None:
        load = self._load
        backend = load.samples.name(answer.backend)
        self._record(now, OUTCOME_NUMBERS[answer.outcome], backend, answer.status, answer.size)
        if self._left and answer.keep and not ending:
            load.idle.append(self)
        else:
            self._close()

    def _fail(self, number: int | None) -> None:
        self.end(_OUTCOME_OF_ERRNO.get(number or 0, _CLIENT_ERROR))

    def expire(self) -> None:
        """The request's time is up."""
        self.end(_TIMEOUT if self._resolving is None else _DNS_ERROR)

    def end(self, outcome: int) -> None:
        """The request ends without an answer, and the connection with it; a UDP socket goes on."""
        if self._resolving is not None:
            self._resolving.close()
        self._record(now_ns(), outcome, 0, 0, 0)
        if self._load.datagrams and self._left and self._source:
            self._load.idle.append(self)
        else:
            self._close()

    def _discard(self) -> None:
        """What an idle UDP socket has heard: answers that came too late, an ICMP error."""
        while True:
            try:
                self._sock.recv(_READ)  # type: ignore[union-attr]
            except BlockingIOError:
                return
            except OSError:
                continue

    def _record(self, now: int, outcome: int, backend: int, status: int, size: int) -> None:
        load = self._load
        load.samples.add(
            self._scheduled_ns,
            self._start_ns,
            self._resolved_ns,
            self._connected_ns,
            self._first_ns,
            now,
            self._serial,
            size,
            self._source,
            self._source_port,
            self._target,
            backend,
            status,
            outcome,
        )
        self.deadline_ns = 0
        load.in_flight.discard(self)
        load.vacant += 1

    def _close(self) -> None:
        self._load.open -= 1
        if self._sock is not None:
            self._load.handlers.pop(self._fd, None)
            self._sock.close()
