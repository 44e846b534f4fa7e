"""The userspace proxy's own record of what it picked: bytes of one size per connection, both ways.

The kernel's entry of such a connection ends at the node; this says which endpoint the process dialled for it,
and from which address.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from typing import NamedTuple

PROTOCOLS = {"tcp": 6, "udp": 17}
"""Numbers of IP."""
_RECORD = struct.Struct("<QB16sH16sH16sH")

Packed = tuple[bytes, int]
"""(4 or 16 bytes of an address, port)."""


class Pick(NamedTuple):
    """One connection through the proxy; `t_ns` when its endpoint had answered the dial."""

    t_ns: int
    protocol: int
    client_ip: str
    client_port: int
    endpoint_ip: str
    endpoint_port: int
    own_ip: str
    own_port: int


def record(t_ns: int, protocol: str, client: Packed, endpoint: Packed, own: Packed) -> bytes:
    """One pick as bytes."""
    sides = (part for ip, port in (client, endpoint, own) for part in (_wide(ip), port))
    return _RECORD.pack(t_ns, PROTOCOLS[protocol], *sides)


def picks(data: bytes) -> list[Pick]:
    """Every whole record, in order."""
    whole = len(data) // _RECORD.size * _RECORD.size
    found = []
    for t_ns, protocol, *sides in _RECORD.iter_unpack(data[:whole]):
        client, client_port, endpoint, endpoint_port, own, own_port = sides
        addresses = (_text(client), client_port, _text(endpoint), endpoint_port)
        found.append(Pick(t_ns, protocol, *addresses, _text(own), own_port))
    return found


_MAPPED = bytes(10) + b"\xff\xff"
"""IPv4 in IPv6's room (RFC 4291 section 2.5.5.2)."""


def _wide(ip: bytes) -> bytes:
    return ip if len(ip) == 16 else _MAPPED + ip


def _text(wide: bytes) -> str:
    return str(ipaddress.ip_address(wide[12:] if wide.startswith(_MAPPED) else wide))


def spelled_counts(found: Mapping[tuple[int, str], int]) -> str:
    """(protocol's number, endpoint) -> connections, a line each."""
    lines = (f"{protocol} {endpoint} {count}\n" for (protocol, endpoint), count in found.items())
    return "".join(sorted(lines))


def counts(text: str) -> dict[tuple[int, str], int]:
    """What `spelled_counts` spelled."""
    rows = (line.split() for line in text.splitlines())
    return {(int(protocol), endpoint): int(count) for protocol, endpoint, count in rows}
