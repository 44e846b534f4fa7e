"""Queries to other servers, over sockets that the server's loop watches.

UDP has a socket, and so a random port, for each query (RFC 5452). TCP connections are kept for a while and used
again, one query at a time.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.dns.framing import MAX_MESSAGE, Unframer, framed
from testbed.dns.labels import WireError
from testbed.dns.metrics import Metrics
from testbed.dns.query import Loop
from testbed.dns.surroundings import Errand
from testbed.dns.wire import Response, decode_response
from testbed.ip import host_port

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
TIMED_OUT = "i/o timeout"


class Dialling:
    """Makes the exchanges of one server (a `Dial`)."""

    def __init__(self, loop: Loop, metrics: Metrics) -> None:
        self._loop = loop
        self._metrics = metrics
        self._idle: dict[tuple[str, int], list[_Kept]] = {}

    def ask(self, errand: Errand) -> None:
        """Carry out an errand; its `done` is called later, once."""
        kept = self._kept(errand.to) if errand.tcp else None
        self._counted(errand, again=kept is not None)
        try:
            sock = kept or _new_socket(errand)
        except OSError as error:  # no descriptor is left
            reason = _reason(error)
            self._loop.later(0.0, lambda: errand.done(reason))
            return
        _Exchange(self._loop, errand, sock, self._over, again=kept is not None).begin()

    def _kept(self, to: tuple[str, int]) -> socket.socket | None:
        """A connection that is idle, not closed by the other side meanwhile."""
        connections = self._idle.get(to, [])
        while connections:
            kept = connections.pop()
            kept.forget()
            if _is_open(kept.sock):
                return kept.sock
            kept.sock.close()
        return None

    def _over(self, exchange: _Exchange, found: Response | str) -> None:
        """Keep the connection, or ask once more over a new one where a kept one had gone."""
        errand = exchange.errand
        if isinstance(found, str):
            exchange.sock.close()
            if exchange.again and found != TIMED_OUT:
                self.ask(errand)
                return
        elif errand.tcp and errand.keep_s:
            self._keep(errand.to, exchange.sock, errand.keep_s)
        else:
            exchange.sock.close()
        errand.done(found)

    def _keep(self, to: tuple[str, int], sock: socket.socket, keep_s: float) -> None:
        connections = self._idle.setdefault(to, [])

        def expire() -> None:
            connections.remove(kept)
            sock.close()

        kept = _Kept(sock, self._loop.later(keep_s, expire))
        connections.append(kept)

    def _counted(self, errand: Errand, *, again: bool) -> None:
        what = "hits" if again else "misses"
        labels = ("forward", host_port(*errand.to), "tcp" if errand.tcp else "udp")
        self._metrics.count(f"coredns_proxy_conn_cache_{what}_total", labels)


@dataclass(frozen=True, slots=True)
class _Kept:
    sock: socket.socket
    forget: Callable[[], None]
    """Calls its end off."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """One query and the wait for its answer."""

    loop: Loop
    errand: Errand
    sock: socket.socket
    over: Callable[[_Exchange, Response | str], None]
    again: bool
    """Over a connection that was used before."""
    _unsent: bytes = b""
    _unframer: Unframer = field(default_factory=Unframer)
    _give_up: Callable[[], None] = lambda: None

    def begin(self) -> None:
        errand = self.errand
        self._give_up = self.loop.later(errand.timeout_s, lambda: self._end(TIMED_OUT))
        self._unsent = framed(errand.packet) if errand.tcp else errand.packet
        try:
            if not self.again:
                code = self.sock.connect_ex(errand.to)
                if code not in (0, errno.EINPROGRESS):
                    raise OSError(code, os.strerror(code))
            if not errand.tcp:
                self.sock.send(self._unsent)
                self._unsent = b""
        except OSError as error:
            # Told from the loop, as all else: who asks has not finished asking.
            reason = _reason(error)
            self._give_up()
            self._give_up = self.loop.later(0.0, lambda: self._end(reason, watched=False))
            return
        self._watch()

    def _watch(self) -> None:
        events = _WRITE if self._unsent else _READ
        self.loop.watch(self.sock.fileno(), self._ready, events)

    def _ready(self, _events: int) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                self._watch()
                return
            data = self.sock.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(_reason(error))
            return
        if self.errand.tcp and not data:
            self._end("EOF")
            return
        for packet in self._unframer.feed(data) if self.errand.tcp else [data]:
            if self._take(packet):
                return

    def _take(self, packet: bytes) -> bool:
        """Whether this is the answer (RFC 5452, section 9.1): others are passed over."""
        try:
            response = decode_response(packet)
        except WireError:
            return False
        if packet[:2] != self.errand.packet[:2] or not self.errand.answered_by(response):
            return False
        self._end(response)
        return True

    def _end(self, found: Response | str, *, watched: bool = True) -> None:
        self._give_up()
        if watched:
            self.loop.unwatch(self.sock.fileno())
        self.over(self, found)


def _new_socket(errand: Errand) -> socket.socket:
    family = socket.AF_INET6 if ":" in errand.to[0] else socket.AF_INET
    kind = socket.SOCK_STREAM if errand.tcp else socket.SOCK_DGRAM
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _is_open(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
