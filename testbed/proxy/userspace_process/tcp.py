"""TCP: accept, dial the endpoint that was picked, copy both ways."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from testbed.clock import now_s
from testbed.proxy.userspace_process.loop import READ, WRITE
from testbed.proxy.userspace_process.serving import Serving, address_of, bound, family_of

DIAL_TIMEOUTS_S = (0.25, 0.5, 1.0, 2.0)
"""kube-proxy's `EndpointDialTimeouts`: one endpoint after the other, then the client is given up."""
_BURST = 64
"""Connections accepted before others get their turn."""
BACKLOG = 4096
"""What a listener asks for; the kernel caps it at net.core.somaxconn."""
_BUFFER = memoryview(bytearray(256 * 1024))
"""Bytes on their way from one socket to the other: one read, one write, so all connections share it."""


class TcpListener:
    """One listening socket. While an endpoint is dialled nobody else is accepted here, as in kube-proxy: a
    dead endpoint holds up every client of its service port.
    """

    def __init__(self, serving: Serving, address: str) -> None:
        self.serving = serving
        self._sock = bound(socket.SOCK_STREAM, address)
        # Accepted sockets inherit it.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.listen(BACKLOG)
        self._dialling = False
        self._accepting = False
        """In the middle of `_accept`: a dial that is over by then has held up nobody."""
        serving.process.loop.watch(self._sock.fileno(), self._acceptable)

    def close(self) -> None:
        """Take nobody any more; connections that are open go on."""
        # Whoever is in the backlog had their handshake: closing now would reset them.
        while not self._dialling and self._accept():
            pass
        self.serving.process.loop.forget(self._sock.fileno())
        self._sock.close()

    def dialled(self) -> None:
        """The dial is over: the next one may come."""
        if not self._accepting and self._sock.fileno() >= 0:
            self.serving.process.loop.want(self._sock.fileno(), READ)
        self._dialling = False

    def _acceptable(self, _: int) -> None:
        for _turn in range(_BURST):
            if not self._accept():
                return
            if self._dialling:
                self.serving.process.loop.want(self._sock.fileno(), 0)
                return

    def _accept(self) -> bool:
        try:
            sock, client = self._sock.accept()
        except OSError:  # none left, or this one was reset while it waited
            return False
        sock.setblocking(False)
        self._dialling = self._accepting = True
        _Dial(self, sock, (client[0], client[1])).attempt()
        self._accepting = False
        return True


class _Dial:
    """A client that waits for its endpoint."""

    def __init__(self, listener: TcpListener, sock: socket.socket, client: tuple[str, int]) -> None:
        self._listener = listener
        self._serving = listener.serving
        self._loop = listener.serving.process.loop
        self._inward = sock
        self._client = client
        self._outward: socket.socket | None = None
        self._endpoint = ""
        self._attempts = 0
        self._timer = 0

    def attempt(self) -> None:
        """Dial the next endpoint; give up after the last attempt, or where there is none."""
        picker = self._serving.picker
        endpoint = None
        if self._attempts < len(DIAL_TIMEOUTS_S):
            loads = self._serving.process.loads
            endpoint = picker.pick(self._client[0], now_s(), loads, again=self._attempts > 0)
        if endpoint is None:
            self._inward.close()
            self._listener.dialled()
            return
        timeout_s = DIAL_TIMEOUTS_S[self._attempts]
        self._attempts += 1
        self._endpoint = endpoint
        picker.opened(endpoint)
        self._outward = sock = socket.socket(family_of(endpoint), socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = address_of(endpoint)
        error = sock.connect_ex(target)
        if error == errno.EINPROGRESS:
            error = sock.connect_ex(target)  # in one kernel the answer has mostly come by now
        if error == 0:
            self._connected()
        elif error == errno.EALREADY:
            self._timer = self._loop.at(now_s() + timeout_s, self._failed)
            self._loop.watch(sock.fileno(), self._answered, WRITE)
        else:
            self._failed()

    def _answered(self, _: int) -> None:
        assert self._outward is not None
        self._loop.cancel(self._timer)
        self._loop.forget(self._outward.fileno())
        if self._outward.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._failed()
        else:
            self._connected()

    def _connected(self) -> None:
        assert self._outward is not None
        serving = self._serving
        serving.process.picked("tcp", self._client, self._endpoint, self._outward.getsockname())
        _Copy(serving, self._endpoint, self._inward.detach(), self._outward.detach())
        self._listener.dialled()

    def _failed(self) -> None:
        assert self._outward is not None
        self._loop.forget(self._outward.fileno())
        self._outward.close()
        self._serving.picker.closed(self._endpoint)
        self.attempt()


class _Copy:
    """Two connected sockets. What cannot be written at once stops the reading on the other side."""

    __slots__ = ("_endpoint", "_fds", "_loop", "_open", "_serving", "_unsent")

    def __init__(self, serving: Serving, endpoint: str, inward: int, outward: int) -> None:
        self._serving = serving
        self._endpoint = endpoint
        self._loop = serving.process.loop
        self._fds = (inward, outward)
        self._unsent = [b"", b""]
        """For each side what is still to be written to it."""
        self._open = [True, True]
        """For each side whether more may come from it."""
        self._loop.watch(inward, lambda events: self._ready(0, events))
        self._loop.watch(outward, lambda events: self._ready(1, events))
        self._read(0)  # the request is mostly there already

    def _ready(self, side: int, events: int) -> None:
        if self._unsent[side]:
            if events & WRITE and not self._flush(side):
                return
            if events & ~WRITE:  # an error: nothing can be written any more
                self._close()
                return
        if events & ~WRITE:
            self._read(side)

    def _read(self, side: int) -> None:
        """Copy what has come from one side. Nothing is read that the other side would not take yet."""
        try:
            size = os.readv(self._fds[side], [_BUFFER])
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        if not size:
            self._ended(side)
            return
        other = 1 - side
        try:
            sent = os.write(self._fds[other], _BUFFER[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return
        if sent < size:
            self._keep(other, bytes(_BUFFER[sent:size]))

    def _keep(self, side: int, data: bytes) -> None:
        self._unsent[side] = data
        self._want(side)
        self._want(1 - side)

    def _want(self, side: int) -> None:
        reading = self._open[side] and not self._unsent[1 - side]
        writing = bool(self._unsent[side])
        self._loop.want(self._fds[side], (READ if reading else 0) | (WRITE if writing else 0))

    def _flush(self, side: int) -> bool:
        """Write what waits; False: the connection is closed."""
        try:
            sent = os.write(self._fds[side], self._unsent[side])
        except BlockingIOError:
            return True
        except OSError:
            self._close()
            return False
        self._unsent[side] = self._unsent[side][sent:]
        if not self._unsent[side]:
            self._want(side)
            self._want(1 - side)
        return True

    def _ended(self, side: int) -> None:
        """One side has no more to say. kube-proxy closed both then; documented is that TCP goes on."""
        self._open[side] = False
        if not self._serving.process.half_closes or not any(self._open):
            self._close()
            return
        self._want(side)
        with suppress(OSError), socket.socket(fileno=os.dup(self._fds[1 - side])) as other:
            other.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        for fd in self._fds:
            self._loop.forget(fd)
            os.close(fd)
        self._serving.picker.closed(self._endpoint)
