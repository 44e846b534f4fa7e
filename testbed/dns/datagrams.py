"""Many datagrams by one system call: recvmmsg(2) and sendmmsg(2), which Python's sockets lack.

System calls are most of what an answer costs that is ready-made.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

MAX_QUERY = 1280
"""Bytes that are read of a query: many times what a name, an OPT record and its options take."""

_ID = 2  # an answer begins like its query
_IPV4_ADDRESS, _IPV6_ADDRESS = struct.Struct("!2xH4s"), struct.Struct("!2xH4x16s")
_IPV4_AT, _IPV4_STEP = 1, 4
"""Of a socket address, in words of 32 bits."""
_IPV6_AT, _IPV6_SIZE = 8, 16
_SCOPE = struct.Struct("@I")
_SCOPE_AT = 24
_SIZES = {socket.AF_INET: 16, socket.AF_INET6: 28}
"""Of a socket address."""
_LENGTH = struct.Struct("@N")


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint32))


_HEADER_SIZE = ctypes.sizeof(_MMsgHdr)
_VECTOR_SIZE = ctypes.sizeof(_IoVec)
_LENGTH_STEP = _HEADER_SIZE // ctypes.sizeof(ctypes.c_uint32)
_LENGTH_AT = _MMsgHdr.length.offset // ctypes.sizeof(ctypes.c_uint32)


class Burst:
    """Room for some datagrams of one socket: those that came, and an answer to each."""

    def __init__(self, sock: socket.socket, size: int, max_answer: int) -> None:
        """`max_answer`: bytes."""
        self.size = size
        self._max_answer = max_answer
        self._fd = sock.fileno()
        self._family = sock.family
        self._queries = bytearray(size * MAX_QUERY)
        self._answers = bytearray(size * max_answer)
        self._step = _SIZES[sock.family]
        self._addresses = bytearray(size * self._step)
        self._in, self._out = (_MMsgHdr * size)(), (_MMsgHdr * size)()
        self._in_vectors, self._out_vectors = (_IoVec * size)(), (_IoVec * (2 * size))()
        self._lay_out()
        self._lengths = memoryview(self._in).cast("B").cast("I")[_LENGTH_AT::_LENGTH_STEP]
        self._hosts = memoryview(self._addresses).cast("I")[_IPV4_AT::_IPV4_STEP]
        """Of IPv4's senders."""
        self._out_lengths = memoryview(self._out_vectors).cast("B")
        self._answered: list[int] = []
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg

    def receive(self) -> int:
        """Take the datagrams that wait, as many as there is room for; returns how many. Raises OSError."""
        count = self._recvmmsg(self._fd, self._in, self.size, socket.MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error == errno.EAGAIN:
                return 0
            raise OSError(error, os.strerror(error))
        return int(count)

    def packets(self, count: int) -> list[bytes]:
        """The first so many datagrams of the last burst."""
        came = bytes(memoryview(self._queries)[: count * MAX_QUERY])
        lengths = self._lengths[:count].tolist()
        return [
            came[at : at + length]
            for at, length in zip(range(0, len(came), MAX_QUERY), lengths, strict=True)
        ]

    def chosen(self, numbers: Iterable[int]) -> list[bytes]:
        """Some datagrams of the last burst: the others cost nothing any more."""
        queries, lengths = memoryview(self._queries), self._lengths
        return [
            bytes(queries[number * MAX_QUERY : number * MAX_QUERY + lengths[number]])
            for number in numbers
        ]

    def hosts(self, count: int) -> Sequence[Hashable]:
        """Who sent the first so many datagrams of the last burst, as something to compare."""
        if self._family == socket.AF_INET:
            return self._hosts[:count].tolist()
        starts = range(_IPV6_AT, count * self._step, self._step)
        return [bytes(self._addresses[start : start + _IPV6_SIZE]) for start in starts]

    def sender(self, number: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Who sent a datagram of the last burst, as sockets have it."""
        start = number * self._step
        if self._family == socket.AF_INET:
            port, host = _IPV4_ADDRESS.unpack_from(self._addresses, start)
            return _text(self._family, host), port
        port, host = _IPV6_ADDRESS.unpack_from(self._addresses, start)
        (scope,) = _SCOPE.unpack_from(self._addresses, start + _SCOPE_AT)
        return _text(self._family, host), port, 0, scope

    def put(self, number: int, answer: bytes) -> None:
        """Have a datagram answered, at `send`: with its own first two bytes and these (`max_answer`)."""
        start = number * self._max_answer
        length = len(answer)
        self._answers[start : start + length] = answer
        _LENGTH.pack_into(self._out_lengths, number * 2 * _VECTOR_SIZE + _OUT_LENGTH_AT, length)
        self._answered.append(number)

    def send(self) -> None:
        """Send what was put, in the order of the datagrams. What does not go out is lost, as datagrams are."""
        answered, self._answered = self._answered, []
        while answered:
            first = answered[0]
            run = len(answered)
            if answered[-1] - first >= run:  # not all were answered
                run = next(n for n, number in enumerate(answered) if number != first + n)
            start = ctypes.byref(self._out, first * _HEADER_SIZE)
            sent = self._sendmmsg(self._fd, start, run, socket.MSG_DONTWAIT)
            answered = answered[max(sent, 1) :]  # no route back, or no room: that client asks again

    def _lay_out(self) -> None:
        """Every datagram has its place in each of the buffers."""
        queries, answers, addresses = map(
            _address_of, (self._queries, self._answers, self._addresses)
        )
        ins, outs = ctypes.addressof(self._in_vectors), ctypes.addressof(self._out_vectors)
        for number in range(self.size):
            query = queries + number * MAX_QUERY
            self._in_vectors[number] = _IoVec(query, MAX_QUERY)
            self._out_vectors[2 * number] = _IoVec(query, _ID)
            self._out_vectors[2 * number + 1] = _IoVec(answers + number * self._max_answer, 0)
            address = addresses + number * self._step, self._step
            self._in[number].header = _MsgHdr(*address, ins + number * _VECTOR_SIZE, 1)
            self._out[number].header = _MsgHdr(*address, outs + 2 * number * _VECTOR_SIZE, 2)


_OUT_LENGTH_AT = _VECTOR_SIZE + _IoVec.length.offset
"""Of an answer's length among the two vectors of its message."""


_text = lru_cache(maxsize=1024)(socket.inet_ntop)


def _address_of(buffer: bytearray) -> int:
    """Valid as long as the buffer: its size is never changed."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
