"""A frame as a value: who to whom, by which protocol, with what in it.

Ethernet (802.1Q too), ARP, IPv4, IPv6 with its extension headers, TCP, UDP, SCTP's ports, ICMP and ICMPv6 with
the packet that an error quotes. Whatever is cut off or unknown keeps what could be read of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from testbed.ip import host_port
from testbed.packets.pcapng import ETHERNET

_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_VLANS = frozenset({0x8100, 0x88A8})
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}
_IPV6_EXTENSIONS = frozenset({0, 43, 60})
_FRAGMENT = 44
_FLAG_NAMES = "FSRPAUEC"
_ICMP = {
    (0, 0): "echo reply",
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 10): "host prohibited",
    (3, 13): "administratively prohibited",
    (8, 0): "echo request",
    (11, 0): "time exceeded",
}
_ICMP6 = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (2, 0): "packet too big",
    (3, 0): "time exceeded",
    (128, 0): "echo request",
    (129, 0): "echo reply",
    (133, 0): "router solicitation",
    (134, 0): "router advertisement",
    (135, 0): "neighbour solicitation",
    (136, 0): "neighbour advertisement",
}
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
_ICMP6_ERRORS = frozenset({1, 2, 3, 4})


@dataclass(frozen=True, slots=True)
class Packet:
    """What a frame carries. `protocol` is tcp, udp, sctp, icmp, icmp6, arp, `ip-47` or `ether-0x88cc`."""

    protocol: str
    src: str = ""
    dst: str = ""
    sport: int = 0
    dport: int = 0
    flags: str = ""
    """TCP's, a letter each: S, SA, FA, R."""
    seq: int = 0
    ack: int = 0
    payload: bytes = b""
    about: str = ""
    """What an ICMP or ARP packet says."""
    quoted: Packet | None = None
    """The packet that an ICMP error is about."""

    @property
    def source(self) -> str:
        """`ip:port`, or the address alone where there are no ports."""
        return host_port(self.src, self.sport) if self.sport else self.src

    @property
    def destination(self) -> str:
        """As `source`."""
        return host_port(self.dst, self.dport) if self.dport else self.dst

    @property
    def is_syn(self) -> bool:
        """The first packet of a TCP connection."""
        return self.flags in {"S", "SEC"}


def decode(data: bytes, link_type: int = ETHERNET) -> Packet:
    """What is in a frame."""
    if link_type != ETHERNET:
        return _ip(data)
    kind, at = int.from_bytes(data[12:14], "big"), 14
    while kind in _VLANS:
        kind, at = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    if kind in (_IPV4, _IPV6):
        return _ip(data[at:])
    return _arp(data[at:]) if kind == _ARP else Packet(f"ether-{kind:#06x}", payload=data[at:])


def _ip(data: bytes) -> Packet:
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        return _ipv4(data)
    if version == 6 and len(data) >= 40:
        return _ipv6(data)
    return Packet("ip-?", payload=data)


def _ipv4(data: bytes) -> Packet:
    src, dst = str(IPv4Address(data[12:16])), str(IPv4Address(data[16:20]))
    header, total = (data[0] & 0xF) * 4, int.from_bytes(data[2:4], "big")
    inside = data[header : total or None]
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return Packet(_named(data[9]), src, dst, payload=inside, about="fragment")
    return _transport(data[9], src, dst, inside)


def _ipv6(data: bytes) -> Packet:
    src, dst = str(IPv6Address(data[8:24])), str(IPv6Address(data[24:40]))
    kind, at = data[6], 40
    while kind in _IPV6_EXTENSIONS and at + 2 <= len(data):
        kind, at = data[at], at + 8 + data[at + 1] * 8
    if kind == _FRAGMENT and at + 8 <= len(data):
        offset = int.from_bytes(data[at + 2 : at + 4], "big") >> 3
        kind, at = data[at], at + 8
        if offset:
            return Packet(_named(kind), src, dst, payload=data[at:], about="fragment")
    size = int.from_bytes(data[4:6], "big")
    return _transport(kind, src, dst, data[at : 40 + size if size else None])


def _transport(kind: int, src: str, dst: str, data: bytes) -> Packet:
    name = _named(kind)
    if name == "tcp" and len(data) >= 20:
        sport, dport, seq, ack, size, bits = struct.unpack_from("!HHIIBB", data)
        flags = "".join(letter for n, letter in enumerate(_FLAG_NAMES) if bits >> n & 1)
        return Packet(name, src, dst, sport, dport, flags, seq, ack, data[(size >> 4) * 4 :])
    if name == "udp" and len(data) >= 8:
        sport, dport = struct.unpack_from("!HH", data)
        return Packet(name, src, dst, sport, dport, payload=data[8:])
    if name in ("tcp", "udp", "sctp") and len(data) >= 4:
        # Of TCP an ICMP error may quote no more than the first eight bytes.
        sport, dport = struct.unpack_from("!HH", data)
        seq = int.from_bytes(data[4:8], "big") if name == "tcp" else 0
        return Packet(name, src, dst, sport, dport, seq=seq, payload=data[12:])
    if name in ("icmp", "icmp6") and len(data) >= 8:
        return _icmp(name, src, dst, data)
    return Packet(name, src, dst, payload=data)


def _icmp(name: str, src: str, dst: str, data: bytes) -> Packet:
    texts, errors = (_ICMP, _ICMP_ERRORS) if name == "icmp" else (_ICMP6, _ICMP6_ERRORS)
    about = texts.get((data[0], data[1])) or f"type {data[0]} code {data[1]}"
    quoted = _ip(data[8:]) if data[0] in errors else None
    return Packet(name, src, dst, payload=data[8:], about=about, quoted=quoted)


def _arp(data: bytes) -> Packet:
    if len(data) < 28:
        return Packet("arp", payload=data)
    src, dst = str(IPv4Address(data[14:18])), str(IPv4Address(data[24:28]))
    if data[7] == 1:
        return Packet("arp", src, dst, about=f"who has {dst}")
    return Packet("arp", src, dst, about=f"{src} is at {data[8:14].hex(':')}")


def _named(kind: int) -> str:
    return _PROTOCOLS.get(kind, f"ip-{kind}")
