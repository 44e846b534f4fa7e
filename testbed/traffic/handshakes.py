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
from typing import Any

from testbed.errors import TestbedError

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_OUTGOING = 4
_SYN, _SYN_ACK = 0x02, 0x12
_TIMEOUT_S = 3.0


def main(plan: dict[str, Any]) -> dict[str, Any]:
    """{name: [SYN to SYN-ACK in ns, …], "resolution_ns": of the clock}."""
    found: dict[str, Any] = {name: [] for name in plan["targets"]}
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    tap.settimeout(_TIMEOUT_S)
    with tap:
        for _ in range(plan["connections"]):
            for name, (ip, port) in plan["targets"].items():
                found[name].append(_handshake(tap, ip, port))
    return found | {"resolution_ns": time.clock_getres(time.CLOCK_REALTIME) * 1e9}


def _handshake(tap: socket.socket, ip: str, port: int) -> int:
    """Nanoseconds of one connection's SYN to its SYN-ACK; a repeated SYN counts from the last."""
    with socket.create_connection((ip, port), _TIMEOUT_S) as sock:
        own_port = sock.getsockname()[1]
        sent_ns = 0
        while True:
            data, control, _, address = tap.recvmsg(128, 64)
            flags, ports = _tcp(data)
            if address[2] == _OUTGOING and ports[0] == own_port and flags == _SYN:
                sent_ns = _stamp_ns(control)
            elif ports[1] == own_port and flags == _SYN_ACK and sent_ns:
                return _stamp_ns(control) - sent_ns


def _tcp(packet: bytes) -> tuple[int, tuple[int, int]]:
    """TCP flags and ports of a packet of either IP family; zeros for any other."""
    version = packet[0] >> 4 if len(packet) >= 40 else 0
    if version not in {4, 6} or packet[9 if version == 4 else 6] != socket.IPPROTO_TCP:
        return 0, (0, 0)
    start = (packet[0] & 15) * 4 if version == 4 else 40
    if len(packet) < start + 20:
        return 0, (0, 0)
    source, target = struct.unpack_from("!HH", packet, start)
    return packet[start + 13] & 0x17, (source, target)


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
