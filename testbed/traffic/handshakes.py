"""First packets: how long from SYN to SYN-ACK, by the kernel's own timestamps.

Runs as a program inside a pod: JSON on the command line, `{"targets": {name: [ip, port]},
"connections": n}`. Every target is dialled in turn, n times; AF_PACKET on the pod's own interface
gives the times (SO_TIMESTAMPNS, on both the packet that leaves and the one that comes), so that
neither Python nor the scheduler of the client is in them.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_OUTGOING = 4
_SYN, _ACK, _SYN_ACK = 0x02, 0x10, 0x12
_TIMEOUT_S = 3.0


def main(plan: dict[str, Any]) -> dict[str, Any]:
    """{name: [SYN to SYN-ACK in ns, …], "resolution_ns": of the clock}."""
    found: dict[str, Any] = {name: [] for name in plan["targets"]}
    with Tap() as tap:
        for _ in range(plan["connections"]):
            for name, (ip, port) in plan["targets"].items():
                sock, took_ns = tap.dial(ip, port)
                sock.close()
                found[name].append(took_ns)
    return found | {"resolution_ns": time.clock_getres(time.CLOCK_REALTIME) * 1e9}


class Tap:
    """Sees every packet of the namespace that it was made in. Use as a context manager."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM
        self._sock = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._sock.settimeout(_TIMEOUT_S)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *error: object) -> None:
        self._sock.close()

    def dial(self, ip: str, port: int) -> tuple[socket.socket, int]:
        """A connection, and the nanoseconds of its SYN to its SYN-ACK; a repeated SYN counts from the last.
        Raises OSError.
        """
        sock = socket.create_connection((ip, port), _TIMEOUT_S)
        own_port = sock.getsockname()[1]
        sent_ns = 0
        while True:
            packet = self._next()
            if packet.leaves and packet.sport == own_port and packet.flags == _SYN:
                sent_ns = packet.t_ns
            elif packet.comes_to(own_port) and packet.flags == _SYN_ACK and sent_ns:
                return sock, packet.t_ns - sent_ns

    def acknowledged(self, sock: socket.socket) -> int:
        """Send one byte on a connection: nanoseconds from when it left to its acknowledgement, which the
        peer's kernel sends at once for the first packets of a connection. Raises OSError.
        """
        own_port = sock.getsockname()[1]
        sock.send(b"\n")
        sent_ns = 0
        end = -1
        while True:
            packet = self._next()
            if packet.leaves and packet.sport == own_port and packet.length:
                sent_ns, end = packet.t_ns, packet.sequence + packet.length & 0xFFFFFFFF
            elif packet.comes_to(own_port) and packet.flags & _ACK and packet.acknowledges == end:
                return packet.t_ns - sent_ns

    def _next(self) -> Seen:
        """The next TCP packet. Raises OSError where none comes."""
        while True:
            data, control, _, address = self._sock.recvmsg(128, 64)
            found = seen(data, address[2] == _OUTGOING, _stamp_ns(control))
            if found is not None:
                return found


@dataclass(frozen=True, slots=True)
class Seen:
    """A TCP packet; `length` is that of its payload."""

    leaves: bool
    t_ns: int
    flags: int
    sport: int
    dport: int
    sequence: int
    acknowledges: int
    length: int

    def comes_to(self, port: int) -> bool:
        """Not one that leaves: who dials itself by way of a service sends both."""
        return not self.leaves and self.dport == port


def seen(packet: bytes, leaves: bool, t_ns: int) -> Seen | None:
    """A packet of either IP family; None where it is not TCP."""
    version = packet[0] >> 4 if len(packet) >= 40 else 0
    if version not in {4, 6} or packet[9 if version == 4 else 6] != socket.IPPROTO_TCP:
        return None
    start = (packet[0] & 15) * 4 if version == 4 else 40
    if len(packet) < start + 20:
        return None
    sport, dport, sequence, acknowledges, offset, flags = struct.unpack_from(
        "!HHIIBB", packet, start
    )
    total = struct.unpack_from("!H", packet, 2 if version == 4 else 4)[0]
    length = total + (40 if version == 6 else 0) - start - (offset >> 4) * 4
    return Seen(leaves, t_ns, flags & 0x17, sport, dport, sequence, acknowledges, length)


def _stamp_ns(control: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("@ll", data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    raise OSError("the kernel gives no timestamps on packet sockets")


def parse(text: str, code: int, errors: str) -> dict[str, Any]:
    """What the program printed. Raises TestbedError where it failed."""
    if code != 0:
        raise TestbedError(f"timing handshakes failed: {errors.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(text)
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
