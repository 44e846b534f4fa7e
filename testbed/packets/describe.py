"""A packet in a line, as people who read tcpdump expect it."""

from __future__ import annotations

from datetime import datetime

from testbed.dns.wire import (
    WireError,
    decode_query,
    decode_response,
    rcode_text,
    type_text,
)
from testbed.packets.decode import Packet

_DNS_PORT = 53
_SHOWN = 60


def line(t_ns: int, interface: str, direction: str, packet: Packet, width: int = 0) -> str:
    """`15:04:05.123456 n1/eth0 in  10.244.1.2:40000 > 10.96.0.3:80 tcp S`; time is the local one."""
    return f"{clock_time(t_ns)} {interface:<{width}} {direction:<3} {describe(packet)}"


def clock_time(t_ns: int) -> str:
    """The local time of day, in microseconds."""
    seconds, rest_ns = divmod(t_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds):%H:%M:%S}.{rest_ns // 1000:06d}"


def describe(packet: Packet) -> str:
    """Who to whom, and what."""
    ends = f"{packet.source} > {packet.destination} " if packet.src else ""
    said = content(packet)
    return f"{ends}{packet.protocol}{' ' if said else ''}{said}"


def content(packet: Packet) -> str:
    """What a packet says, without its addresses and its protocol."""
    parts: list[str] = []
    if packet.flags:
        parts.append(packet.flags)
    if packet.is_syn:
        parts.append(f"seq {packet.seq}")
    if packet.about:
        parts.append(packet.about)
    if packet.quoted is not None:
        parts.append(f"of {describe(packet.quoted)}")
    elif packet.payload and packet.protocol in ("tcp", "udp", "sctp"):
        parts.append(_payload(packet))
    return " ".join(parts)


def _payload(packet: Packet) -> str:
    dns = _dns(packet) if _DNS_PORT in (packet.sport, packet.dport) else ""
    if dns:
        return dns
    size = f"{len(packet.payload)} bytes"
    first = packet.payload.split(b"\n", 1)[0].strip()
    if first and first.isascii() and all(32 <= byte < 127 for byte in first):
        text = first[:_SHOWN].decode() + ("…" if len(first) > _SHOWN else "")
        return f"{size}: {text}"
    return size


def _dns(packet: Packet) -> str:
    """The question, or the answer; "" where it is neither."""
    try:
        if packet.dport == _DNS_PORT:
            question = decode_query(packet.payload).question
            return f"dns {type_text(question.type)}? {question.name}"
        response = decode_response(packet.payload)
    except WireError:
        return ""
    name = response.question.name if response.question else "?"
    kind = type_text(response.question.type) if response.question else "?"
    data = ", ".join(record.data for record in response.answers) or "no record"
    code = rcode_text(response.rcode)
    return f"dns {kind} {name}: {data if code == 'NOERROR' else code}"
