"""A server's TCP connections (RFC 7766): many queries in each, answered in whatever order answers come."""

from __future__ import annotations

import selectors
import socket
from collections import Counter, deque
from contextlib import suppress

from testbed.dns.framing import MAX_MESSAGE, Unframer, framed
from testbed.dns.query import Loop
from testbed.dns.ready import Ready
from testbed.dns.reply import Asked, Queue
from testbed.dns.turning_away import OUT_OF_DESCRIPTORS, Reserve

IDLE_S = 8.0
"""A connection that has neither asked nor taken an answer for so long is closed (CoreDNS's idle timeout)."""
MAX_STREAMS = 512
"""Then the client that has most of them loses the one that has been idle longest."""

_MAX_PENDING = 64  # queries of a connection that are being worked out; more are not read
_MAX_UNSENT = 1 << 18  # a client that asks but does not read is not listened to


class Streams:
    """All connections of one listener."""

    def __init__(self, listener: socket.socket, ready: Ready, queue: Queue, loop: Loop) -> None:
        self.ready = ready
        self.queue = queue
        self.loop = loop
        self._listener = listener
        self._open: dict[Stream, float] = {}
        """With the time of their last use, oldest first."""
        self._sweeping = False
        self._reserve = Reserve()

    def accept(self, _events: int = 0) -> None:
        """Take the next connection in."""
        try:
            sock, where = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
            if self._open:
                self._make_room()
            else:
                self._reserve.turn_away(self._listener)
            return
        sock.setblocking(False)
        if len(self._open) >= MAX_STREAMS:
            self._make_room()
        stream = Stream(sock, (where[0], where[1]), self)
        self.used(stream)
        stream.serve(selectors.EVENT_READ)

    def used(self, stream: Stream) -> None:
        """The connection is not idle."""
        self._open.pop(stream, None)
        self._open[stream] = self.loop.now_s()
        if not self._sweeping:
            self._sweeping = True
            self.loop.later(IDLE_S, self._sweep)

    def closed(self, stream: Stream) -> None:
        """The connection is no more."""
        self._open.pop(stream, None)

    def _sweep(self) -> None:
        """Close what is idle, and come back when the next one may be."""
        now_s = self.loop.now_s()
        for stream, used_s in list(self._open.items()):
            if used_s > now_s - IDLE_S:
                break
            if stream.pending:
                self.used(stream)  # it waits for us
            else:
                stream.close()
        oldest_s = next(iter(self._open.values()), None)
        self._sweeping = oldest_s is not None
        if oldest_s is not None:
            self.loop.later(oldest_s + IDLE_S - now_s, self._sweep)

    def _make_room(self) -> None:
        owners = Counter(stream.client[0] for stream in self._open)
        most = max(owners, key=owners.__getitem__)
        next(stream for stream in self._open if stream.client[0] == most).close()


class Stream:
    """One client's connection."""

    def __init__(self, sock: socket.socket, client: tuple[str, int], streams: Streams) -> None:
        self.client = client
        self.pending = 0
        """Queries that are being worked out."""
        self._socket = sock
        self._streams = streams
        self._unframer = Unframer()
        self._asked: deque[bytes] = deque()
        """Read, but not looked at: nothing more is read until it is empty."""
        self._unsent = bytearray()
        self._ended = False
        """The client has said all it wants to."""
        self._events = 0

    def serve(self, events: int) -> None:
        """Read, answer and write what is possible now."""
        if events & selectors.EVENT_READ and self._is_reading():
            self._read()
        self._go_on()

    def close(self) -> None:
        """Idempotent."""
        if self._socket.fileno() >= 0:
            self._watch(0)
            self._socket.close()
            self._asked.clear()
            self._streams.closed(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self._unsent.clear()
        self._ended = not data
        packets = self._unframer.feed(data)
        if packets:
            self._asked.extend(packets)
            self._streams.used(self)

    def _go_on(self) -> None:
        while self._asked and self.pending < _MAX_PENDING and len(self._unsent) < _MAX_UNSENT:
            self._answer(self._asked.popleft())
        self._write()
        if self._ended and not (self.pending or self._asked or self._unsent):
            self.close()
        elif self._socket.fileno() >= 0:
            events = selectors.EVENT_READ if self._is_reading() else 0
            self._watch(events | (selectors.EVENT_WRITE if self._unsent else 0))

    def _watch(self, events: int) -> None:
        if events and events != self._events:
            self._streams.loop.watch(self._socket.fileno(), self.serve, events)
        elif self._events and not events:
            self._streams.loop.unwatch(self._socket.fileno())
        self._events = events

    def _is_reading(self) -> bool:
        return not (self._asked or self._ended)

    def _answer(self, packet: bytes) -> None:
        answer = self._streams.ready.find(packet)
        if answer is not None:
            self._unsent += framed(packet[:2] + answer)
            return
        self.pending += 1
        self._streams.queue(Asked(packet, *self.client, tcp=True), self._respond)

    def _respond(self, raw: bytes | None) -> None:
        """What became of a query; None: it was none, or there is no room for it."""
        self.pending -= 1
        if raw is None:
            self.close()
        elif self._socket.fileno() >= 0:
            self._unsent += framed(raw)
            self._go_on()

    def _write(self) -> None:
        try:
            with suppress(BlockingIOError):
                while self._unsent:
                    del self._unsent[: self._socket.send(self._unsent)]
                    self._streams.used(self)
        except OSError:
            self._unsent.clear()
            self.close()
