"""A pod's TCP or SCTP port of the echo server, and its connections.

It must not be what a measurement waits for: the answer to a request that was seen before is a
dictionary look-up on its bytes.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from functools import partial

from testbed.clock import now_ns
from testbed.traffic.echo_loop import BURST, EchoLoop
from testbed.traffic.echo_protocol import Address, Identity, Reply, reply

BACKLOG = 4096
"""What a listener asks for; the kernel caps it at net.core.somaxconn."""
_READ = 16 * 1024
_MAX_READY_MADE = 1024
_PROBES = (b"GET /healthz", b"GET /readyz")
"""A busy pod answers these at once: how long its requests take is not whether it is well."""


class Listener:
    """A pod's port, of either."""

    def __init__(
        self, loop: EchoLoop, identity: Identity, sock: socket.SocketType, service_ns: int
    ) -> None:
        self.loop = loop
        self.identity = identity
        self.ready_made: dict[bytes, Reply] = {}
        self.open = 0
        """Connections that are being served."""
        self.service_ns = service_ns
        """How long a request takes; 0: no time at all."""
        self._busy_until_ns = 0
        self._sock = sock
        loop.watch(sock.fileno(), self.accept)

    def accept(self, _: int, at_most: int = BURST) -> None:
        """Accept what waits; a request that is there already is answered at once."""
        # The bare file descriptor: a socket object for each connection costs 2 µs.
        accept = self._sock._accept  # type: ignore[attr-defined]
        ready_made, log = self.ready_made, self.loop.log
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
                Connection(self, fd, client)
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
                Connection(self, fd, client).received(data)

    def work(self) -> int:
        """When the request that came now is done: one at a time, in the order in which they came."""
        self._busy_until_ns = max(now_ns(), self._busy_until_ns) + self.service_ns
        return self._busy_until_ns

    def close(self) -> None:
        # Whoever is in the backlog had their handshake: closing now would reset them.
        self.accept(0, BACKLOG)
        self.loop.forget(self._sock.fileno())
        self._sock.close()


class Connection:
    """An accepted connection that was not answered in one go."""

    __slots__ = (
        "_buffer", "_client", "_closed", "_closing", "_fd", "_listener", "_output", "_served", "_working",
    )  # fmt: skip

    def __init__(self, listener: Listener, fd: int, client: Address) -> None:
        self._listener = listener
        self._fd = fd
        self._client = client
        self._buffer = b""
        self._output = b""
        self._closed = False
        self._closing = False
        self._served = False
        self._working = False
        listener.loop.connections.add(self)
        listener.open += 1
        listener.loop.watch(fd, self.handle)

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
            draining = listener.loop.drain_until_ns is not None
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
            listener.loop.epoll.modify(self._fd, 0)
            listener.loop.at(listener.work(), partial(self._finish, answer))

    def _finish(self, answer: Reply) -> None:
        if self._closed:  # the client gave up
            return
        self._working = False
        loop = self._listener.loop
        self._closing = answer.close or (loop.drain_until_ns is not None and not self._buffer)
        loop.epoll.modify(self._fd, select.EPOLLIN)
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
            self._listener.loop.epoll.modify(self._fd, wanted)
        if self._closing and not self._output:
            self.close()

    def close(self) -> None:
        self._closed = True
        loop = self._listener.loop
        loop.connections.discard(self)
        self._listener.open -= 1
        loop.forget(self._fd)
        os.close(self._fd)
