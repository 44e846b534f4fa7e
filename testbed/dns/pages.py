"""HTTP pages beside a DNS server's answers, in the same thread: /health, /ready, /metrics."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from testbed.dns.query import Loop
from testbed.dns.surroundings import Page
from testbed.dns.turning_away import OUT_OF_DESCRIPTORS, Reserve

_MOST_VISITS = 64
"""At once; one more ends the oldest."""
_MOST_BYTES = 8192
"""Of a request; a longer one is cut off."""
_PATIENCE_S = 5.0
_END = b"\r\n\r\n"
Paths = dict[str, Callable[[], Page]]


class HttpPages:
    """`testbed.dns.surroundings.Pages` over sockets that a loop watches. One request a connection."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._shown: dict[tuple[str, int], Paths] = {}
        self._listeners: list[socket.socket] = []
        self._visits: dict[_Visit, None] = {}
        """Oldest first."""
        self._reserve = Reserve()

    def add(self, address: tuple[str, int], path: str, page: Callable[[], Page]) -> None:
        """Show one. Raises OSError where the address cannot be had."""
        if address not in self._shown:
            listener = _listening(*address)
            self._listeners.append(listener)
            paths = self._shown[address] = {}
            self._loop.watch(
                listener.fileno(), lambda _: self._accept(listener, paths), selectors.EVENT_READ
            )
        self._shown[address][path] = page

    def close(self) -> None:
        """Show none any more."""
        for listener in self._listeners:
            self._loop.unwatch(listener.fileno())
            listener.close()
        self._listeners.clear()
        self._shown.clear()

    def _accept(self, listener: socket.socket, paths: Paths) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
            self._reserve.turn_away(listener)
            return
        sock.setblocking(False)
        if len(self._visits) >= _MOST_VISITS:
            next(iter(self._visits)).end()
        visit = _Visit(self._loop, sock, paths, self._visits)
        self._visits[visit] = None
        visit.begin()


@dataclass(slots=True, eq=False)
class _Visit:
    """One connection: a request, an answer."""

    loop: Loop
    sock: socket.socket
    paths: Paths
    among: dict[_Visit, None]
    _read: bytes = b""
    _unsent: bytes = b""
    _give_up: Callable[[], None] = field(default=lambda: None)

    def begin(self) -> None:
        self._give_up = self.loop.later(_PATIENCE_S, self.end)
        self.loop.watch(self.sock.fileno(), self._ready, selectors.EVENT_READ)

    def end(self) -> None:
        self._give_up()
        del self.among[self]
        self.loop.unwatch(self.sock.fileno())
        self.sock.close()

    def _ready(self, _events: int) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                if not self._unsent:
                    self.end()
                return
            data = self.sock.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.end()
            return
        self._read += data
        if _END in self._read:
            self._unsent = _answer(self._read, self.paths)
            self.loop.watch(self.sock.fileno(), self._ready, selectors.EVENT_WRITE)
        elif not data or len(self._read) >= _MOST_BYTES:
            self.end()


def _answer(request: bytes, paths: Paths) -> bytes:
    method, _, rest = request.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        page = Page(405, b"only GET and HEAD\n")
    elif path not in paths:
        page = Page(404, b"404 page not found\n")
    else:
        page = paths[path]()
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else page.body)


def _listening(host: str, port: int) -> socket.socket:
    """On an address, or (without one) on all of both families. Raises OSError."""
    if not host:
        try:
            sock = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            sock = socket.create_server(("", port))  # a kernel, or a pod, without IPv6
        except ValueError:
            sock = socket.create_server(("", port))
    else:
        host = "127.0.0.1" if host == "localhost" else host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family)
    sock.setblocking(False)
    return sock
