"""Frames for tests, put together from their layers."""

from __future__ import annotations

import struct
from ipaddress import ip_address

_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58, "sctp": 132}
_FLAGS = "FSRPAUEC"


def ethernet(inside: bytes, kind: int = 0, vlan: int | None = None) -> bytes:
    """`inside` is IPv4 or IPv6 where `kind` is left out."""
    kind = kind or (0x86DD if inside[0] >> 4 == 6 else 0x0800)
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return bytes(12) + tag + struct.pack("!H", kind) + inside


def ip(src: str, dst: str, protocol: str, inside: bytes, fragment: int = 0) -> bytes:
    """An IP packet of either family."""
    ends = ip_address(src).packed + ip_address(dst).packed
    number = _NUMBERS[protocol]
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28, len(inside), number, 64) + ends + inside
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inside), 1, fragment, 64, number, 0)
    return head + ends + inside


def tcp(sport: int, dport: int, flags: str, data: bytes = b"", *, seq: int = 0) -> bytes:
    bits = sum(1 << _FLAGS.index(letter) for letter in flags)
    return struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, bits, 1000, 0, 0) + data


def udp(sport: int, dport: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def icmp(kind: int, code: int, quoted: bytes = b"") -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + quoted


def arp(src: str, dst: str, request: bool) -> bytes:
    ends = bytes(6) + ip_address(src).packed + bytes(6) + ip_address(dst).packed
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1 if request else 2) + ends
