"""Frames by which a node says that an address is its own: ARP (RFC 826) and neighbour discovery (RFC 4861)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from testbed.ip import IPAddress

_ARP, _IPV6 = 0x0806, 0x86DD
_REQUEST, _REPLY = 1, 2
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_TARGET_LINK = 2
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_BROADCAST = b"\xff" * 6
_ALL_NODES, _TO_ALL_NODES = IPv6Address("ff02::1"), b"\x33\x33\x00\x00\x00\x01"
_ETHERNET = struct.Struct("!6s6sH")
_ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
_IPV6_HEAD = struct.Struct("!IHBB16s16s")
_ND_BODY = struct.Struct("!BBHI16s")

QUESTIONS = (
    (0x28, 0, 0, 12),  # ldh [12]: the frame's type
    (0x15, 0, 2, _ARP),
    (0x28, 0, 0, 20),  # ldh [20]: what the ARP packet is
    (0x15, 5, 6, _REQUEST),
    (0x15, 0, 5, _IPV6),
    (0x30, 0, 0, 20),  # ldb [20]: the next header
    (0x15, 0, 3, _ICMPV6),
    (0x30, 0, 0, 54),  # ldb [54]: the ICMPv6 type
    (0x15, 0, 1, _SOLICITATION),
    (0x06, 0, 0, 0x40000),
    (0x06, 0, 0, 0),
)
"""A filter for the kernel that lets them pass alone: classic BPF (code, jump if true, if false, constant)."""


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody asks who has an address."""

    address: IPAddress
    asker: IPAddress
    """Unspecified where it has none yet (a probe for duplicates)."""
    asker_mac: bytes


def question(frame: bytes) -> Question | None:
    """What an Ethernet frame asks; None where it asks nothing, or cannot be read."""
    try:
        _, source, kind = _ETHERNET.unpack_from(frame)
        if kind == _ARP:
            return _arp_question(frame)
        if kind == _IPV6:
            return _solicitation(frame, source)
    except struct.error:
        pass
    return None


def _arp_question(frame: bytes) -> Question | None:
    fields = _ARP_BODY.unpack_from(frame, _ETHERNET.size)
    if fields[:5] != (1, 0x0800, 6, 4, _REQUEST):
        return None
    return Question(IPv4Address(fields[8]), IPv4Address(fields[6]), fields[5])


def _solicitation(frame: bytes, source: bytes) -> Question | None:
    at = _ETHERNET.size
    _, _, following, hops, asker, _ = _IPV6_HEAD.unpack_from(frame, at)
    if following != _ICMPV6 or hops != 255:
        return None
    kind, _, _, _, target = _ND_BODY.unpack_from(frame, at + _IPV6_HEAD.size)
    if kind != _SOLICITATION:
        return None
    return Question(IPv6Address(target), IPv6Address(asker), source)


def answer(asked: Question, mac: bytes) -> bytes:
    """The frame that says: it is at `mac`."""
    if isinstance(asked.address, IPv4Address):
        return _arp(_REPLY, (mac, asked.address), (asked.asker_mac, asked.asker))
    if asked.asker.is_unspecified:
        return unasked(asked.address, mac)[0]
    flags = _SOLICITED | _OVERRIDE
    return _advertisement(asked.address, mac, (asked.asker_mac, asked.asker), flags)


def unasked(address: IPAddress, mac: bytes) -> list[bytes]:
    """The same to everybody, unasked: who has another one in its table takes this one over. ARP has two forms
    of it, and not everybody heeds both.
    """
    if isinstance(address, IPv4Address):
        to = (_BROADCAST, address)
        return [_arp(form, (mac, address), to) for form in (_REQUEST, _REPLY)]
    return [_advertisement(address, mac, (_TO_ALL_NODES, _ALL_NODES), _OVERRIDE)]


def solicited_node(address: IPv6Address) -> IPv6Address:
    """The group to which questions for an address go (RFC 4291, section 2.7.1)."""
    group = ip_address("ff02::1:ff00:0")
    return IPv6Address(int(group) | int(address) & 0xFFFFFF)


def _arp(what: int, own: tuple[bytes, IPAddress], to: tuple[bytes, IPAddress]) -> bytes:
    body = _ARP_BODY.pack(1, 0x0800, 6, 4, what, own[0], own[1].packed, to[0], to[1].packed)
    return _ETHERNET.pack(to[0], own[0], _ARP) + body


def _advertisement(
    address: IPAddress, mac: bytes, to: tuple[bytes, IPAddress], flags: int
) -> bytes:
    option = struct.pack("!BB6s", _TARGET_LINK, 1, mac)
    bare = _ND_BODY.pack(_ADVERTISEMENT, 0, 0, flags, address.packed) + option
    pseudo = address.packed + to[1].packed + struct.pack("!II", len(bare), _ICMPV6)
    body = bare[:2] + struct.pack("!H", _checksum(pseudo + bare)) + bare[4:]
    head = _IPV6_HEAD.pack(6 << 28, len(body), _ICMPV6, 255, address.packed, to[1].packed)
    return _ETHERNET.pack(to[0], mac, _IPV6) + head + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
