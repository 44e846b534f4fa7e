"""What is read of packets that a tap saw."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from testbed.traffic.handshakes import Seen, seen

SYN, PUSH_ACK = 0x02, 0x18
PORTS = (40_000, 80)


def packet(source: str, target: str, flags: int, payload: bytes = b"", protocol: int = 6) -> bytes:
    """A TCP packet of either family, with options that make its header 24 bytes long."""
    ends = ip_address(source).packed + ip_address(target).packed
    tcp = struct.pack("!HHIIBBHHH", *PORTS, 7, 9, 6 << 4, flags, 0, 0, 0) + bytes(4) + payload
    if len(ends) == 8:
        return struct.pack("!BxHxxxxBBxx", 0x45, 20 + len(tcp), 64, protocol) + ends + tcp
    return struct.pack("!IHBB", 0x60000000, len(tcp), protocol, 64) + ends + tcp


@pytest.mark.parametrize(
    ("source", "target"), [("10.244.0.2", "10.96.0.1"), ("fd00::2", "fd00::9")]
)
@pytest.mark.parametrize(
    ("flags", "payload"), [(SYN, b""), (PUSH_ACK, b"x"), (PUSH_ACK, bytes(1400))]
)
def test_a_tcp_packet_of_either_family(
    source: str, target: str, flags: int, payload: bytes
) -> None:
    found = seen(packet(source, target, flags, payload)[:128], True, 5)
    assert found == Seen(True, 5, flags & 0x17, *PORTS, 7, 9, len(payload))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(60),
        packet("10.0.0.1", "10.0.0.2", SYN, protocol=socket.IPPROTO_UDP),
        packet("10.0.0.1", "10.0.0.2", SYN)[:39],
    ],
)
def test_anything_else_is_passed_over(data: bytes) -> None:
    assert seen(data, False, 0) is None


def test_of_two_that_dial_themselves_only_what_comes_counts() -> None:
    data = packet("10.244.0.2", "10.96.0.1", SYN)
    came, left = seen(data, False, 0), seen(data, True, 0)
    assert came
    assert left
    assert came.comes_to(PORTS[1])
    assert not left.comes_to(PORTS[1])
