"""A server's UDP socket: what is ready goes out at once, the rest is worked out later."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from testbed.dns.congestion import Senders, admitted
from testbed.dns.datagrams import Burst
from testbed.dns.ready import MAX_ANSWER, Ready
from testbed.dns.reply import Asked, Queue

_BURST = 64
_BURSTS = 4  # answered before anybody else has a turn
_BUFFER = 4 << 20  # a burst of queries waits here instead of being lost
_LONG_QUEUE = (
    128 * 768
)  # bytes, of so many queries as the kernel counts them: more than one client has open
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("@9I")
"""What a socket's buffers hold (linux/sock_diag.h): first the bytes that wait to be read."""


class UdpSocket:
    """Answers datagrams; a client that floods it goes short before others do."""

    def __init__(self, sock: socket.socket, ready: Ready, queue: Queue) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket = sock
        self._ready = ready
        self._queue = queue
        self._burst = Burst(sock, _BURST, MAX_ANSWER)
        self._senders = Senders()

    def serve(self, _events: int = 0) -> None:
        """Answer what waits, or queue it."""
        for _ in range(_BURSTS):
            packets = self._burst.receive()
            is_full = len(packets) == _BURST
            if is_full and self._queue_is_long():
                packets = self._thinned(packets)
            self._answer(packets)
            if not is_full:
                return

    def _answer(self, packets: list[bytes]) -> None:
        find, put = self._ready.entries.get, self._burst.put
        for number, packet in enumerate(packets):
            entry = find(packet[2:])
            if entry is not None and entry.raw is not None:
                entry.hits += 1
                put(number, entry.raw)
            elif packet:
                self._answer_rarer(number, packet)
        self._burst.send()

    def _answer_rarer(self, number: int, packet: bytes) -> None:
        answer = self._ready.find(packet)
        if answer is not None:
            self._burst.put(number, answer)
            return
        where = self._burst.sender(number)
        self._queue(
            Asked(packet, where[0], where[1], tcp=False), lambda raw: self._send(raw, where)
        )

    def _send(self, raw: bytes | None, where: tuple[str, int] | tuple[str, int, int, int]) -> None:
        if raw is not None:
            with suppress(OSError):  # no route back, or no room: the client asks again
                self._socket.sendto(raw, where)

    def _queue_is_long(self) -> bool:
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        waiting, *_ = _MEMINFO.unpack(memory)
        return bool(waiting > _LONG_QUEUE)

    def _thinned(self, packets: list[bytes]) -> list[bytes]:
        """Where several clients ask: only those that are answered, b"" in the place of the others."""
        hosts = [self._burst.raw_host(number) for number in range(len(packets))]
        if not self._senders.are_several(hosts):
            return packets
        chosen = admitted(hosts)
        return [packet if number in chosen else b"" for number, packet in enumerate(packets)]
