"""A server's UDP socket: what is ready goes out at once, the rest is worked out later."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress

from testbed.clock import now_s
from testbed.dns.congestion import Senders, admitted
from testbed.dns.datagrams import Burst
from testbed.dns.ready import MAX_ANSWER, Ready
from testbed.dns.reply import Asked, Queue
from testbed.dns.wire import HEADER_SIZE

_BURST = 256
"""Read at once. More than that wait: the queue is long, longer than ordinary clients make it."""
_SENT = 64  # answers that go out together
_LONG_BURSTS = 32
"""Read while the queue is long: what is not read in time the kernel throws away, whosever it is."""
_BUFFER = 4 << 20  # a burst of queries waits here instead of being lost
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("@9I")
"""What a socket's buffers hold (linux/sock_diag.h): first the bytes that wait to be read, and their room."""
_ANSWER_BIT = 0x80


class UdpSocket:
    """Answers datagrams; a client that floods it goes short before others do."""

    def __init__(
        self, sock: socket.socket, ready: Ready, queue: Queue, has_room: Callable[[str], bool]
    ) -> None:
        """`has_room`: whether a client's query would find any in the queue."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket = sock
        self._ready = ready
        self._queue = queue
        self._has_room = has_room
        self._burst = Burst(sock, _BURST, MAX_ANSWER)
        self._senders = Senders()

    def serve(self, _events: int = 0) -> None:
        """Answer what waits, or queue it; more than a burst only of those that are mostly thrown away."""
        for _ in range(_LONG_BURSTS):
            count = self._burst.receive()
            chosen = self._chosen(count) if count == _BURST else None
            if chosen is None:
                self._answer(enumerate(self._burst.packets(count)))
                return
            self._answer(zip(chosen, self._burst.chosen(chosen), strict=True))

    def _answer(self, packets: Iterable[tuple[int, bytes]]) -> None:
        """What is ready goes out before anything else is done."""
        find, put = self._ready.entries.get, self._burst.put
        rarer = []
        for number, packet in packets:
            entry = find(packet[2:])
            if entry is not None and entry.raw is not None:
                entry.hits += 1
                put(number, entry.raw)
            elif len(packet) >= HEADER_SIZE and not packet[2] & _ANSWER_BIT:
                answer = self._ready.find(packet)
                if answer is not None:
                    put(number, answer)
                else:
                    rarer.append((number, packet))
            if number % _SENT == _SENT - 1:
                self._burst.send()
        self._burst.send()
        for number, packet in rarer:
            self._have_worked_out(number, packet)

    def _have_worked_out(self, number: int, packet: bytes) -> None:
        """What finds no room is lost before anything is made of it."""
        where = self._burst.sender(number)
        if self._has_room(where[0]):
            asked = Asked(packet, where[0], where[1], tcp=False)
            self._queue(asked, lambda raw: self._send(raw, where))

    def _send(self, raw: bytes | None, where: tuple[str, int] | tuple[str, int, int, int]) -> None:
        if raw is not None:
            with suppress(OSError):  # no route back, or no room: the client asks again
                self._socket.sendto(raw, where)

    def _chosen(self, count: int) -> list[int] | None:
        """Of a long queue, where several clients ask or there is little room left: what is answered of it;
        None: all.
        """
        hosts = self._burst.hosts(count)
        if not self._senders.are_several(hosts, now_s()) and not self._is_half_full():
            return None
        chosen = admitted(hosts)
        return None if len(chosen) == count else chosen

    def _is_half_full(self) -> bool:
        """Whether the socket's buffer is, by the kernel's count, which is ahead of what we have read."""
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        waiting, room, *_ = _MEMINFO.unpack(memory)
        return bool(waiting > room // 2)
