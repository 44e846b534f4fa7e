"""Frames by which a reply comes, as a probe reads them."""

from __future__ import annotations

import socket
import struct

import pytest

from testbed.claims.way_probe import read

_SYN, _SYN_ACK = 0x02, 0x12
_SENDER = bytes.fromhex("020100000003")


def frame(family: int, flags: int, *, protocol: int = socket.IPPROTO_TCP, ttl: int = 62) -> bytes:
    ethernet = bytes(6) + _SENDER + struct.pack("!H", 0x0800 if family == 4 else 0x86DD)
    tcp = struct.pack("!HHIIBBHHH", 80, 40000, 0, 0, 5 << 4, flags, 0, 0, 0)
    if family == 4:
        source = socket.inet_aton("172.18.255.200")
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, ttl, protocol, 0, source, bytes(4))
    else:
        source = socket.inet_pton(socket.AF_INET6, "fd00::200")
        ip = struct.pack("!IHBB16s16s", 6 << 28, 20, protocol, ttl, source, bytes(16))
    return ethernet + ip + tcp


@pytest.mark.parametrize(("family", "address"), [(4, "172.18.255.200"), (6, "fd00::200")])
def test_who_handed_it_over_and_how_often_it_was_routed(family: int, address: str) -> None:
    assert read(frame(family, _SYN_ACK)) == ((address, 80, 40000), ("02:01:00:00:00:03", 62))


@pytest.mark.parametrize(
    "other",
    [
        frame(4, _SYN),
        frame(4, _SYN_ACK, protocol=socket.IPPROTO_UDP),
        bytes(12) + b"\x08\x06" + bytes(28),
    ],
)
def test_anything_else_is_no_answer(other: bytes) -> None:
    assert read(other) is None
