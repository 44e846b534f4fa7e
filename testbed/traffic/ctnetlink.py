"""Messages of ctnetlink: conntrack entries as the kernel tells of them.

The numbers are those of linux/netfilter/nfnetlink_conntrack.h; headers are in the machine's byte
order, values in network order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

NEW, DESTROY, STATS = 0x100, 0x102, 0x104
"""Message types: subsystem 1 (ctnetlink), then IPCTNL_MSG_CT_NEW, _DELETE and _GET_STATS_CPU."""

GROUP_NEW, GROUP_DESTROY = 1, 3
"""Multicast groups NFNLGRP_CONNTRACK_NEW and _DESTROY."""

NLMSG_ERROR, NLMSG_DONE = 2, 3
COUNTERS = {"insert_failed": 9, "drop": 10, "early_drop": 11}
"""CTA_STATS_*: what a full or contended table could not keep, per CPU."""

Fields = tuple[bytes, bytes, int, bytes, bytes, bytes, bytes, int, bytes, bytes]
"""Source and destination address, protocol, source and destination port of the first packet, then
the same of the reply that is expected; addresses and ports as bytes in network order."""

_REQUEST_DUMP = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NFGENMSG = 4  # bytes of struct nfgenmsg
_TYPE_MASK, _NESTED = 0x3FFF, 0x8000
_TUPLE_ORIG, _TUPLE_REPLY, _TUPLE_IP, _TUPLE_PROTO = 1, 2, 1, 2
_IP_V4_SRC, _IP_V4_DST, _IP_V6_SRC, _IP_V6_DST = 1, 2, 3, 4
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_NO_PORT = b"\0\0"


def stats_request() -> bytes:
    """Ask for the counters of every CPU."""
    size = _HEADER.size + _NFGENMSG
    return _HEADER.pack(size, STATS, _REQUEST_DUMP, 1, 0) + bytes(_NFGENMSG)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload after struct nfgenmsg) of each message in what one recv(2) returned."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if size < _HEADER.size:
            return
        yield kind, data[offset + _HEADER.size + _NFGENMSG : offset + size]
        offset += size + 3 & ~3


def fields(payload: bytes) -> Fields | None:
    """The two directions of an entry, port 0 where there are no ports; None where it is
    neither IPv4 nor IPv6.

    Entries of TCP and UDP have one shape, which is read at fixed places in a tenth of the time: a
    recorder that eats the CPU would be part of what it measures.
    """
    for plain in _PLAIN:
        if int.from_bytes(payload[: plain.layout.size], "big") & plain.mask == plain.shape:
            return plain.layout.unpack_from(payload)
    return walked(payload)


def walked(payload: bytes) -> Fields | None:
    """As `fields`, for an entry of any shape."""
    found = attributes(payload)
    original = _direction(found.get(_TUPLE_ORIG, b""))
    reply = _direction(found.get(_TUPLE_REPLY, b""))
    return None if original is None or reply is None else (*original, *reply)


def counters(payload: bytes) -> dict[str, int]:
    """`COUNTERS` of one CPU."""
    found = attributes(payload)
    return {name: int.from_bytes(found.get(kind, b""), "big") for name, kind in COUNTERS.items()}


def attributes(data: bytes) -> dict[int, bytes]:
    """Values of netlink attributes by type; what is cut off is left out."""
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size or offset + size > len(data):
            break
        found[kind & _TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + size]
        offset += size + 3 & ~3
    return found


def _direction(data: bytes) -> tuple[bytes, bytes, int, bytes, bytes] | None:
    parts = attributes(data)
    ip = attributes(parts.get(_TUPLE_IP, b""))
    protocol = attributes(parts.get(_TUPLE_PROTO, b""))
    source = ip.get(_IP_V4_SRC) or ip.get(_IP_V6_SRC)
    destination = ip.get(_IP_V4_DST) or ip.get(_IP_V6_DST)
    if not (source and destination and protocol.get(_PROTO_NUM)):
        return None
    return (
        source,
        destination,
        protocol[_PROTO_NUM][0],
        protocol.get(_PROTO_SRC_PORT, _NO_PORT),
        protocol.get(_PROTO_DST_PORT, _NO_PORT),
    )


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _shape(fill: int, source: int, address_size: int) -> int:
    """A TCP or UDP entry's two tuples; every byte that is no header's is `fill`. `source` is the type of the
    attribute for the source address.
    """

    def attribute(kind: int, size: int) -> bytes:
        return _ATTRIBUTE.pack(4 + size, kind) + bytes((fill,)) * (size + -size % 4)

    ip = attribute(source, address_size) + attribute(source + 1, address_size)
    ports = attribute(_PROTO_SRC_PORT, 2) + attribute(_PROTO_DST_PORT, 2)
    protocol = attribute(_PROTO_NUM, 1) + ports
    inner = _attribute(_TUPLE_IP | _NESTED, ip) + _attribute(_TUPLE_PROTO | _NESTED, protocol)
    both = [_attribute(kind | _NESTED, inner) for kind in (_TUPLE_ORIG, _TUPLE_REPLY)]
    return int.from_bytes(b"".join(both), "big")


class _Plain(NamedTuple):
    """Where a TCP or UDP entry of one IP family has what, and how it is known: `mask` of it is `shape`."""

    layout: struct.Struct
    shape: int
    mask: int


def _plain(source: int, address_size: int) -> _Plain:
    size = address_size
    layout = struct.Struct(f"12x {size}s 4x {size}s 8x B 7x 2s 6x 2s 2x" * 2)
    shape = _shape(0, source, size)
    fillable = shape ^ _shape(0xFF, source, size)
    return _Plain(layout, shape, ~fillable & ((1 << 8 * layout.size) - 1))


_PLAIN = (_plain(_IP_V4_SRC, 4), _plain(_IP_V6_SRC, 16))
