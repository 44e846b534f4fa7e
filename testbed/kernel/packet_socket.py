"""Frames as they pass the interfaces of a network namespace: AF_PACKET, with the kernel's own timestamps.

No library: libpcap knows one namespace per process and no direction on loopback, and tcpdump drops privileges,
which fails where one user id is mapped.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from testbed.kernel.pcap_filter import Instruction

# linux/if_packet.h, linux/socket.h, asm-generic/socket.h; Python's socket module lacks them.
_EVERYTHING = 0x0003  # ETH_P_ALL
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_TIMESTAMPNS, _SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 35, 26, 33
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_VLAN_TPID = 0x8100
_RECEIVE_BUFFER = 16 << 20  # bytes; ordinary users get net.core.rmem_max
_LARGEST_FRAME = 1 << 18
_BURST = 512
_ANCILLARY = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)
_AUXDATA = struct.Struct("=IIIHHHH")
_TIMESPEC = struct.Struct("=qq")
_STATISTICS = struct.Struct("=II")
_ETHERNET_LIKE = frozenset({1, 772})  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_LOOPBACK = 772


class Seen(NamedTuple):
    """One frame; `t_ns` is CLOCK_REALTIME, `ethernet`: it begins with an Ethernet header."""

    t_ns: int
    interface: str
    direction: Literal["in", "out"]
    data: bytes
    ethernet: bool


class Tap:
    """Everything on all interfaces (or one) of the calling thread's network namespace, from now on."""

    def __init__(self, interface: str = "", program: Sequence[Instruction] = ()) -> None:
        """Raises OSError, for an interface that there is not."""
        # With protocol 0 nothing comes before the filter is in place.
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, 0 if interface else socket.htons(_EVERYTHING)
        )
        try:
            self._socket.setblocking(False)
            if program:
                _attach(self._socket, program)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            with suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            if interface:
                self._socket.bind((interface, _EVERYTHING))
            else:
                self._drop_early()
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> Iterator[Seen]:
        """What has come, at most a burst of it. Never waits."""
        for _ in range(_BURST):
            try:
                data, ancillary, _, address = self._socket.recvmsg(_LARGEST_FRAME, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:  # the interface went down or away: the next packet is another's
                continue
            name, _, kind, hardware = address[:4]
            if hardware == _LOOPBACK and kind == socket.PACKET_OUTGOING:
                continue  # the same packet comes in again at once
            t_ns, tag = _read(ancillary)
            if tag:
                data = data[:12] + tag + data[12:]
            direction: Literal["in", "out"] = "out" if kind == socket.PACKET_OUTGOING else "in"
            yield Seen(t_ns, name, direction, data, hardware in _ETHERNET_LIKE)

    def lost(self) -> int:
        """How many frames did not fit the socket's buffer since the last call."""
        packed = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(packed)[1])

    def close(self) -> None:
        self._socket.close()

    def _drop_early(self) -> None:
        """What came before the filter and the timestamps were in place."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)


def send(interface: str, frames: Iterable[bytes]) -> None:
    """Put whole frames on an interface of the namespace that the calling thread is in."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for frame in frames:
            sock.send(frame)


def _attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    described = struct.pack("@HL", len(program), ctypes.addressof(packed))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def _read(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, bytes]:
    """The time, and the VLAN tag that the kernel has taken out of the frame."""
    t_ns, tag = 0, b""
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, rest_ns = _TIMESPEC.unpack(value[: _TIMESPEC.size])
            t_ns = seconds * 1_000_000_000 + rest_ns
        elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack(value[: _AUXDATA.size])
            if status & _VLAN_VALID:
                tag = struct.pack("!HH", tpid if status & _VLAN_TPID_VALID else _VLAN_TPID, tci)
    return t_ns, tag
